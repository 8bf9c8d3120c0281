"""The log of events, which is the outbox too: a row without `sent_at` is still to be published."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Select, and_, bindparam, exists, func, insert, not_, select, text, update

from certcore import subjects
from certcore.events import Event
from certkit.prepared import Prepared
from registry.adapters import tables
from registry.domain.settled import Snapshot

__all__ = ["Backlog", "Events", "Selection", "StoredEvent"]

# Each next name is one step in the index: as quick with many events as with few.
_STREAMS: Final = text("""
    WITH RECURSIVE found(name) AS (
        SELECT MIN(stream) FROM event WHERE sent_at IS NULL
        UNION ALL
        SELECT (SELECT MIN(stream) FROM event WHERE sent_at IS NULL AND stream > found.name)
        FROM found WHERE found.name IS NOT NULL
    )
    SELECT name FROM found WHERE name IS NOT NULL
""")
_OWNERS: Final = text("""
    WITH RECURSIVE found(name) AS (
        SELECT MIN(owner) FROM event WHERE sent_at IS NULL AND stream = :stream
        UNION ALL
        SELECT (SELECT MIN(owner) FROM event WHERE sent_at IS NULL AND stream = :stream AND owner > found.name)
        FROM found WHERE found.name IS NOT NULL
    )
    SELECT name FROM found WHERE name IS NOT NULL
""")

_NEWER: Final = tables.event.alias("newer")
_REPLACED: Final = and_(
    tables.event.c.stream.startswith(subjects.DEPLOY, autoescape=True),
    exists().where(
        _NEWER.c.stream == tables.event.c.stream,
        _NEWER.c.subject == tables.event.c.subject,
        _NEWER.c.sequence > tables.event.c.sequence,
    ),
)
"""A deployment that has a newer one of its subject: its stream keeps one message a subject."""

_AT_ONCE: Final = 500
"""Values in one IN."""


@dataclass(frozen=True)
class StoredEvent:
    sequence: int
    id: str
    type: str
    source: str
    stream: str
    subject: str
    about: str
    time: datetime
    data: str
    traceparent: str | None
    owner: str
    repeats: int


@dataclass(frozen=True)
class Selection:
    """Events that have all that is given."""

    ids: tuple[str, ...] = ()
    about: str | None = None
    stream: str | None = None
    since: datetime | None = None


@dataclass(frozen=True)
class Backlog:
    """What of a stream is still to be published."""

    unsent: int
    oldest: datetime


_ROW: Final = tables.event
_ADD: Final = Prepared(insert(_ROW))
# The transaction has its own number before it draws the event's: see `registry.domain.settled`.
_ADD_WITHIN: Final = Prepared(
    insert(_ROW).values(
        sequence=text("CASE WHEN pg_current_xact_id() IS NOT NULL THEN nextval('event_sequence_seq') END")
    )
)
# The reader's own number comes after all that were given before: the snapshot tells nothing of those that run beyond
# the last that ended.
_SNAPSHOT: Final = text("""
    SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint, pg_current_xact_id()::text::bigint
""")
_COLUMNS: Final = tuple(_ROW.c[field.name] for field in fields(StoredEvent))
# In the order of the index of unsent events: without it SQLite walks through all that were ever sent.
_FIRST_UNSENT: Final = Prepared(
    select(*_COLUMNS)
    .where(_ROW.c.sent_at.is_(None))
    .order_by(_ROW.c.stream, _ROW.c.owner, _ROW.c.sequence)
    .limit(bindparam("most"))
)
_MANY: Final = (
    select(*_COLUMNS).where(_ROW.c.sequence.in_(bindparam("sequences", expanding=True))).order_by(_ROW.c.sequence)
)
_MARK: Final = update(_ROW).where(
    _ROW.c.sequence.in_(bindparam("sequences", expanding=True)), _ROW.c.repeats == bindparam("known_repeats")
)
_AFTER: Final = Prepared(
    select(*_COLUMNS).where(_ROW.c.sequence > bindparam("known")).order_by(_ROW.c.sequence).limit(bindparam("most"))
)
_ONE_WRITER: Final = Snapshot(0, 0)


class Events:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.added = False
        """Whether this transaction wrote any, which others may wait for."""

    def add(
        self,
        event: Event,
        *,
        event_id: str,
        source: str,
        stream: str,
        subject: str,
        about: str,
        owner: str,
        now: datetime,
        traceparent: str | None,
        sent: bool = False,
        data: str | None = None,
    ) -> None:
        """`data` is the event as JSON, for who has it."""
        values = {
            "id": event_id,
            "type": event.type,
            "source": source,
            "stream": stream,
            "subject": subject,
            "about": about,
            "time": now,
            "data": data or event.model_dump_json(),
            "traceparent": traceparent,
            "sent_at": now if sent else None,
            "owner": owner,
            "repeats": 0,
        }
        if self._connection.dialect.name == "sqlite":
            _ADD.change(self._connection, values)
        else:
            _ADD_WITHIN.change(self._connection, values)
        self.added = True

    def streams_unsent(self) -> list[str]:
        """The streams that something is still to be published to."""
        return list(self._connection.execute(_STREAMS).scalars())

    def owners_unsent(self, stream: str) -> list[str]:
        """Those whose events are still to be published to a stream."""
        return list(self._connection.execute(_OWNERS, {"stream": stream}).scalars())

    def unsent(self, stream: str, owner: str, *, limit: int) -> list[tuple[int, int]]:
        """Sequence and repeats of what is still to be published, oldest first."""
        row = tables.event
        query = (
            select(row.c.sequence, row.c.repeats)
            .where(row.c.sent_at.is_(None), row.c.stream == stream, row.c.owner == owner)
            .order_by(row.c.sequence)
            .limit(limit)
        )
        return [(found.sequence, found.repeats) for found in self._connection.execute(query)]

    def first_unsent(self, *, limit: int) -> list[StoredEvent]:
        """What is still to be published, of whatever stream and owner: so many of it, and no certain ones."""
        return [StoredEvent(*found) for found in _FIRST_UNSENT.rows(self._connection, {"most": limit})]

    def many(self, sequences: Sequence[int]) -> list[StoredEvent]:
        """Oldest first."""
        found: list[StoredEvent] = []
        for part in _parts(sorted(sequences)):
            found += [StoredEvent(*item) for item in self._connection.execute(_MANY, {"sequences": part})]
        return found

    def mark_sent(self, keys: Iterable[tuple[int, int]], now: datetime) -> None:
        """By sequence and repeats: one that was ordered to be published again meanwhile stays unsent."""
        by_repeats: dict[int, list[int]] = defaultdict(list)
        for sequence, repeats in keys:
            by_repeats[repeats].append(sequence)
        for repeats, sequences in by_repeats.items():
            # In one order: two relays that mark the same rows don't wait for each other.
            for part in _parts(sorted(sequences)):
                values = {"sequences": part, "known_repeats": repeats, "sent_at": now}
                self._connection.execute(_MARK, values)

    def publish_again(self, sequences: Sequence[int]) -> None:
        """Have them published once more: the same events, in messages of their own.

        Not one that was replaced since it was selected: it would come after the newer one, and take its place.
        """
        row = tables.event
        for part in _parts(sequences):
            self._connection.execute(
                update(row)
                .where(row.c.sequence.in_(part), not_(_REPLACED))
                .values(sent_at=None, repeats=row.c.repeats + 1)
            )

    def selected(self, selection: Selection, *, after: int, limit: int) -> list[tuple[int, bool]]:
        """Sequences of events that were published once, oldest first, after one; and whether a newer event took the
        place of it, as a deployment does.
        """
        row = tables.event
        conditions = [row.c.sequence > after, row.c.sent_at.is_not(None)]
        if selection.ids:
            conditions.append(row.c.id.in_(selection.ids))
        if selection.about is not None:
            conditions.append(row.c.about == selection.about)
        if selection.stream is not None:
            conditions.append(row.c.stream == selection.stream)
        if selection.since is not None:
            conditions.append(row.c.time >= selection.since)
        query = select(row.c.sequence, _REPLACED).where(*conditions).order_by(row.c.sequence).limit(limit)
        return [(sequence, bool(gone)) for sequence, gone in self._connection.execute(query)]

    def unknown(self, ids: Sequence[str]) -> list[str]:
        """Those of the ids that are no event's."""
        row = tables.event
        found = set(self._connection.execute(select(row.c.id).where(row.c.id.in_(ids))).scalars())
        return [item for item in ids if item not in found]

    def backlog(self) -> dict[str, Backlog]:
        """By stream."""
        row = tables.event
        query = (
            select(row.c.stream, func.count(), func.min(row.c.sequence))
            .where(row.c.sent_at.is_(None))
            .group_by(row.c.stream)
        )
        counts = {stream: (count, first) for stream, count, first in self._connection.execute(query)}
        times = select(row.c.sequence, row.c.time).where(row.c.sequence.in_(bindparam("first", expanding=True)))
        first = self._connection.execute(times, {"first": [first for _, first in counts.values()]})
        at = {found.sequence: found.time for found in first}
        return {stream: Backlog(count, at[first]) for stream, (count, first) in counts.items()}

    def after(self, sequence: int, limit: int) -> list[StoredEvent]:
        """Oldest first."""
        return [StoredEvent(*item) for item in _AFTER.rows(self._connection, {"known": sequence, "most": limit})]

    def snapshot(self) -> Snapshot:
        """Whose changes this transaction sees; it must have looked before."""
        if self._connection.dialect.name == "sqlite":
            return _ONE_WRITER
        return Snapshot(*self._connection.execute(_SNAPSHOT).one())

    def get(self, event_id: str) -> StoredEvent | None:
        return self._one(select(*_COLUMNS).where(tables.event.c.id == event_id))

    def last(self) -> StoredEvent | None:
        return self._one(select(*_COLUMNS).order_by(tables.event.c.sequence.desc()).limit(1))

    def _one(self, query: Select[Any]) -> StoredEvent | None:
        found = self._connection.execute(query).one_or_none()
        return StoredEvent(*found) if found else None


def _parts(values: Sequence[int]) -> Iterable[Sequence[int]]:
    return (values[begin : begin + _AT_ONCE] for begin in range(0, len(values), _AT_ONCE))

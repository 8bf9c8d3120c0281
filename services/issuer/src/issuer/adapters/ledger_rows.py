"""Buckets and tickets as rows, and the statements that read and write them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Final

from sqlalchemy import (
    Connection,
    Row,
    bindparam,
    case,
    delete,
    func,
    literal,
    or_,
    select,
)

from certcore.ca_limits.asked import BucketKey
from certcore.ca_limits.bucket import Bucket
from certcore.ca_limits.limit import LimitKind
from certkit.upsert import put, put_all
from issuer.adapters.ledger_tables import bucket, ticket

__all__ = [
    "Seen",
    "Taken",
    "Ticket",
    "forget",
    "look",
    "put_buckets",
    "put_ticket",
    "remove_ticket",
    "spent",
    "taught",
    "waiting",
]


@dataclass(frozen=True)
class Taken:
    """One that was taken from a bucket for a job; `at_issuance` as in `Charge`."""

    key: BucketKey
    at: datetime
    at_issuance: bool


@dataclass(frozen=True)
class Ticket:
    """What a job took, or waits for: its place in the line before `key` is that of `since`."""

    attempt: str
    granted: bool
    taken: tuple[Taken, ...]
    since: datetime | None
    at: datetime
    """When it was granted, or refused."""


@dataclass(frozen=True)
class Seen:
    ticket: Ticket | None
    buckets: Mapping[BucketKey, Bucket] = field(default_factory=dict)
    ahead: Mapping[BucketKey, int] = field(default_factory=dict)
    """How many wait before each bucket, in front of this job."""


_COMING: Final = timedelta(minutes=1)

_MINE: Final = ticket.alias("mine")
_LINE: Final = ticket.alias("line")
_AHEAD: Final = (
    select(func.count())
    .select_from(_LINE)
    .where(
        _LINE.c.waits_for == bucket.c.id,
        _LINE.c.place < func.coalesce(_MINE.c.place, bindparam("place")),
        # Whoever was to come by now has come, or doesn't; who is new lets those go first that are just coming.
        _LINE.c.not_before > case((_MINE.c.place.is_(None), bindparam("lately")), else_=bindparam("now")),
    )
    .correlate(_MINE, bucket)
    .scalar_subquery()
)
_ONE: Final = select(literal(1).label("one")).subquery("one")
_LOOK: Final = select(
    _MINE.c.attempt,
    _MINE.c.granted,
    _MINE.c.taken,
    _MINE.c.since,
    _MINE.c.at,
    bucket,
    _AHEAD.label("ahead"),
).select_from(
    _ONE.outerjoin(_MINE, _MINE.c.job == bindparam("job")).outerjoin(
        bucket, bucket.c.id.in_(bindparam("ids", expanding=True))
    )
)
_WAITING: Final = (
    select(bucket.c.scope, bucket.c.kind, bucket.c.name, func.count().label("number"))
    .join(ticket, ticket.c.waits_for == bucket.c.id)
    .where(ticket.c.not_before > bindparam("lately"), bucket.c.scope.in_(bindparam("scopes", expanding=True)))
    .group_by(bucket.c.id)
)
_SPENT: Final = select(bucket).where(
    bucket.c.full_at > bindparam("now"), bucket.c.scope.in_(bindparam("scopes", expanding=True))
)
_TAUGHT: Final = _SPENT.where(bucket.c.taught_at.is_not(None))


def look(connection: Connection, job: str, keys: Sequence[BucketKey], *, now: datetime, urgent: bool = False) -> Seen:
    """The job's ticket and the buckets that aren't full, in one statement."""
    ids = [_id(key) for key in keys]
    # Behind all that came at the same moment.
    place = _place("~", since=now, urgent=urgent)
    values = {"job": job, "ids": ids, "now": now, "lately": now - _COMING, "place": place}
    rows = connection.execute(_LOOK, values).all()
    first = rows[0]
    mine = None
    if first.attempt is not None:
        mine = Ticket(first.attempt, first.granted, _taken(first.taken), first.since, first.at)
    there = [row for row in rows if row.full_at is not None]
    return Seen(
        mine, {_key(row): _bucket(row) for row in there}, {_key(row): row.ahead for row in there if row.ahead}
    )


def spent(connection: Connection, scopes: Sequence[str], *, now: datetime) -> dict[BucketKey, Bucket]:
    """Every bucket of these scopes that isn't full."""
    return {_key(row): _bucket(row) for row in connection.execute(_SPENT, {"now": now, "scopes": list(scopes)})}


def taught(connection: Connection, scopes: Sequence[str], *, now: datetime) -> dict[BucketKey, Bucket]:
    """Those of them that a refusal taught something."""
    return {_key(row): _bucket(row) for row in connection.execute(_TAUGHT, {"now": now, "scopes": list(scopes)})}


def waiting(connection: Connection, scopes: Sequence[str], *, now: datetime) -> dict[BucketKey, int]:
    """How many jobs wait before each bucket."""
    rows = connection.execute(_WAITING, {"lately": now - _COMING, "scopes": list(scopes)})
    return {_key(row): row.number for row in rows}


def put_buckets(connection: Connection, changed: Mapping[BucketKey, Bucket]) -> None:
    rows = [
        {
            "id": _id(key),
            "scope": key.scope,
            "kind": key.kind.value,
            "name": key.name,
            "full_at": one.full_at,
            "lessons": one.lessons,
            "taught_at": one.taught_at,
        }
        # In one order, so that two transactions never wait for each other.
        for key, one in sorted(changed.items())
    ]
    put_all(connection, bucket, rows, ("id",))


def put_ticket(
    connection: Connection,
    job: str,
    new: Ticket,
    *,
    urgent: bool = False,
    waits_for: BucketKey | None = None,
    not_before: datetime | None = None,
) -> None:
    row = {
        "job": job,
        "attempt": new.attempt,
        "granted": new.granted,
        "at": new.at,
        "taken": [
            [one.key.scope, one.key.kind, one.key.name, one.at.isoformat(), one.at_issuance] for one in new.taken
        ],
        "since": new.since,
        "waits_for": _id(waits_for) if waits_for else None,
        "place": _place(job, since=new.since, urgent=urgent) if new.since else None,
        "not_before": not_before,
    }
    put(connection, ticket, row, ("job",))


def remove_ticket(connection: Connection, job: str) -> None:
    connection.execute(delete(ticket).where(ticket.c.job == job))


def forget(connection: Connection, *, full_before: datetime, unused_since: datetime) -> int:
    """Remove full buckets of which nothing is remembered, and tickets of which nobody heard for long."""
    learned = or_(bucket.c.taught_at.is_(None), bucket.c.taught_at < unused_since)
    buckets = connection.execute(delete(bucket).where(bucket.c.full_at <= full_before, learned))
    over = or_(ticket.c.not_before.is_(None), ticket.c.not_before < unused_since)
    tickets = connection.execute(delete(ticket).where(ticket.c.at < unused_since, over))
    return buckets.rowcount + tickets.rowcount


def _place(job: str, *, since: datetime, urgent: bool) -> str:
    return f"{0 if urgent else 1} {since.astimezone(UTC).isoformat(timespec='microseconds')} {job}"


def _id(key: BucketKey) -> str:
    # One column, of which SQLite finds many at once by an index.
    return sha256(f"{key.scope}\n{key.kind}\n{key.name}".encode()).hexdigest()


def _key(row: Row[Any]) -> BucketKey:
    return BucketKey(row.scope, LimitKind(row.kind), row.name)


def _bucket(row: Row[Any]) -> Bucket:
    return Bucket(row.full_at, row.lessons, row.taught_at)


def _taken(stored: Any) -> tuple[Taken, ...]:
    return tuple(
        Taken(BucketKey(scope, LimitKind(kind), name), datetime.fromisoformat(at), bool(at_issuance))
        for scope, kind, name, at, at_issuance in stored or ()
    )

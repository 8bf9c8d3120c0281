"""Rows of alerts, and of the runs of registry processes."""

from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, func, literal, select, tuple_

from certkit.database import UtcDateTime
from certkit.upsert import put
from registry.adapters import tables
from registry.adapters.store.statements import is_among
from registry.domain.alarm import Halt, Start
from registry.domain.alert import AlertRecord

__all__ = ["Alerts", "Runs"]

_LAST_HALT: Final = (
    select(tables.run.c.stood_still_s, tables.run.c.stood_still_at)
    .where(tables.run.c.stood_still_at.is_not(None))
    .order_by(tables.run.c.stood_still_at.desc())
    .limit(1)
)


class Alerts:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, alert_id: str) -> AlertRecord | None:
        row = tables.alert
        found = self._connection.execute(select(row).where(row.c.id == alert_id)).one_or_none()
        return AlertRecord(**found._asdict()) if found else None

    def save(self, record: AlertRecord) -> None:
        put(self._connection, tables.alert, asdict(record), ("id",))

    def open(self, *, source: str, reasons: Iterable[str]) -> list[AlertRecord]:
        """Those of one source that go on, for these reasons."""
        row = tables.alert
        query = select(row).where(
            row.c.resolved_at.is_(None), row.c.source == source, row.c.reason.in_(sorted(reasons))
        )
        return [AlertRecord(**found._asdict()) for found in self._connection.execute(query)]

    def count_open(self, *, owners: frozenset[str] | None) -> int:
        row = tables.alert
        query = select(func.count()).select_from(row).where(row.c.resolved_at.is_(None))
        if owners is not None:
            query = query.where(is_among(row.c.owner, owners))
        return self._connection.execute(query).scalar_one()

    def page(
        self,
        *,
        after: tuple[datetime, str] | None = None,
        limit: int,
        owners: frozenset[str] | None = None,
        is_open: bool | None = None,
    ) -> list[AlertRecord]:
        """Newest first, those that come after one with this `since` and id."""
        row = tables.alert
        place = (row.c.since, row.c.id)
        query = select(row).order_by(*(column.desc() for column in place)).limit(limit)
        if after is not None:
            instant, alert_id = after
            query = query.where(tuple_(*place) < tuple_(literal(instant, UtcDateTime), alert_id))
        if owners is not None:
            query = query.where(is_among(row.c.owner, owners))
        if is_open is not None:
            query = query.where(row.c.resolved_at.is_(None) if is_open else row.c.resolved_at.is_not(None))
        return [AlertRecord(**found._asdict()) for found in self._connection.execute(query)]


class Runs:
    """When the registry of each host started and stopped."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def begin(self, host: str, now: datetime) -> Start:
        """Note a start; clean where the one before was stopped, or was none."""
        row = tables.run
        before = self._connection.execute(select(row).where(row.c.host == host)).one_or_none()
        put(self._connection, row, {"host": host, "started_at": now, "stopped_at": None}, ("host",))
        return Start(at=now, clean=before is None or before.stopped_at is not None)

    def halted(self, host: str, halt: Halt) -> None:
        row = tables.run
        values = {"stood_still_s": halt.seconds, "stood_still_at": halt.noticed}
        self._connection.execute(row.update().where(row.c.host == host).values(values))

    def last_halt(self) -> Halt | None:
        """The last one of any host."""
        found = self._connection.execute(_LAST_HALT).one_or_none()
        return Halt(found.stood_still_s, found.stood_still_at) if found is not None else None

    def end(self, host: str, now: datetime) -> None:
        row = tables.run
        self._connection.execute(row.update().where(row.c.host == host).values(stopped_at=now))

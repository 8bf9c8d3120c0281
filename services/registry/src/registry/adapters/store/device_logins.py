"""Rows of sign-ins that wait for somebody at another machine's browser."""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, delete, func, insert, select, update

from registry.adapters import tables
from registry.domain.device_login import DeviceLogin

__all__ = ["DeviceLogins"]

_ROW: Final = tables.device_login


class DeviceLogins:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def waiting(self, now: datetime) -> int:
        """How many there are; those that are too old are forgotten."""
        self._connection.execute(delete(_ROW).where(_ROW.c.expires_at <= now))
        return self._connection.execute(select(func.count()).select_from(_ROW)).scalar_one()

    def add(self, login: DeviceLogin) -> None:
        self._connection.execute(
            insert(_ROW).values(
                sha256=login.sha256,
                sealed=login.sealed,
                interval_s=int(login.interval.total_seconds()),
                next_at=login.next_at,
                expires_at=login.expires_at,
            )
        )

    def hold(self, sha256: str) -> DeviceLogin | None:
        """The one with this hash; nobody else asks for it before the end of the transaction."""
        query = select(_ROW).where(_ROW.c.sha256 == sha256).with_for_update()
        row = self._connection.execute(query).one_or_none()
        if row is None:
            return None
        return DeviceLogin(row.sha256, row.sealed, timedelta(seconds=row.interval_s), row.next_at, row.expires_at)

    def save(self, login: DeviceLogin) -> None:
        self._connection.execute(
            update(_ROW)
            .where(_ROW.c.sha256 == login.sha256)
            .values(interval_s=int(login.interval.total_seconds()), next_at=login.next_at)
        )

    def end(self, sha256: str) -> bool:
        """Whether it was there."""
        return self._connection.execute(delete(_ROW).where(_ROW.c.sha256 == sha256)).rowcount == 1

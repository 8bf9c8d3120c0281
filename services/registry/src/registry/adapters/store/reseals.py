"""Rows of recipients that may be unable to open what they should hold: a list of what to look at."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, delete, select

from certcore.placements import PLATFORM
from certkit.upsert import put_all
from registry.adapters import tables
from registry.adapters.tables import reseal

__all__ = ["Reseals"]

_KEY = ("certificate_id", "recipient")


_AFTER: Final = (
    select(reseal.c.certificate_id)
    .where(reseal.c.certificate_id > bindparam("known"))
    .distinct()
    .order_by(reseal.c.certificate_id)
    .limit(bindparam("most"))
)


class Reseals:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def look_at(self, certificate_id: str, recipients: Iterable[str], now: datetime) -> None:
        """Note that these recipients of a certificate are to be looked at."""
        rows = [{"certificate_id": certificate_id, "recipient": name, "since": now} for name in recipients]
        put_all(self._connection, reseal, rows, _KEY)

    def look_at_all(self, place: str, service: str, recipient: str, now: datetime) -> int:
        """The same for everything that a service should hold of the platform's keys; returns how much that is."""
        row = tables.placement
        ids = self._connection.execute(
            select(row.c.certificate_id)
            .where(row.c.place == place, row.c.service == service, row.c.variant == PLATFORM)
            .distinct()
        ).scalars()
        rows = [{"certificate_id": found, "recipient": recipient, "since": now} for found in ids]
        put_all(self._connection, reseal, rows, _KEY)
        return len(rows)

    def certificates(self, *, after: str, limit: int) -> list[str]:
        """The ids of so many certificates after an id, in their order."""
        return list(self._connection.execute(_AFTER, {"known": after, "most": limit}).scalars())

    def of(self, certificate_ids: Sequence[str]) -> dict[str, dict[str, datetime]]:
        """Since when each recipient is looked at, by certificate."""
        found: dict[str, dict[str, datetime]] = defaultdict(dict)
        row = reseal
        item: Row[Any]
        for item in self._connection.execute(select(row).where(row.c.certificate_id.in_(certificate_ids))):
            found[item.certificate_id][item.recipient] = item.since
        return found

    def forget(self, certificate_id: str, recipients: Iterable[str]) -> None:
        """Nothing is missing any more."""
        row = reseal
        of_them = (row.c.certificate_id == certificate_id, row.c.recipient.in_(list(recipients)))
        self._connection.execute(delete(row).where(*of_them))

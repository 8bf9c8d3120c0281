"""Rows of endpoints."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, select, update

from certcore.events import ServingVerdict
from certkit.upsert import put
from registry.adapters import tables
from registry.adapters.store.statements import known_or_text
from registry.domain.endpoint import Endpoint

__all__ = ["Endpoints"]


_OF: Final = (
    select(tables.endpoint)
    .where(tables.endpoint.c.certificate_id.in_(bindparam("ids", expanding=True)))
    .order_by(tables.endpoint.c.url)
)


class Endpoints:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def save(self, endpoint: Endpoint) -> None:
        verdict = str(endpoint.verdict) if endpoint.verdict is not None else None
        values = asdict(endpoint) | {"verdict": verdict}
        put(self._connection, tables.endpoint, values, ("certificate_id", "url"))

    def of(self, certificate_ids: Sequence[str]) -> dict[str, list[Endpoint]]:
        """By certificate, then by URL."""
        found: dict[str, list[Endpoint]] = defaultdict(list)
        for item in self._connection.execute(_OF, {"ids": certificate_ids}):
            found[item.certificate_id].append(_endpoint(item))
        return found

    def note_look(self, certificate_id: str, url: str, at: datetime) -> None:
        """Somebody looked at an endpoint then, and missed it since."""
        row = tables.endpoint
        where = (row.c.certificate_id == certificate_id, row.c.url == url)
        self._connection.execute(update(row).where(*where).values(looked_at=at))


def _endpoint(row: Row[Any]) -> Endpoint:
    values = row._asdict()
    values["addresses"] = tuple(values["addresses"] or ())
    values["verdict"] = known_or_text(ServingVerdict, values["verdict"]) if values["verdict"] else None
    return Endpoint(**values)

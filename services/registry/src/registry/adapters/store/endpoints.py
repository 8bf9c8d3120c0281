"""Rows of endpoints."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, update

from certcore.events import ServingVerdict
from certkit.upsert import put
from registry.adapters import tables
from registry.adapters.store.statements import OfIds, known_or_text
from registry.domain.endpoint import Endpoint

__all__ = ["Endpoints"]


_COLUMNS: Final = tuple(tables.endpoint.c[field.name] for field in fields(Endpoint))
_ADDRESSES: Final = _COLUMNS.index(tables.endpoint.c.addresses)
_VERDICT: Final = _COLUMNS.index(tables.endpoint.c.verdict)

_OF: Final = OfIds(_COLUMNS, tables.endpoint.c.certificate_id, tables.endpoint.c.url)


class Endpoints:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def save(self, endpoint: Endpoint) -> None:
        verdict = str(endpoint.verdict) if endpoint.verdict is not None else None
        values = vars(endpoint) | {"verdict": verdict}
        put(self._connection, tables.endpoint, values, ("certificate_id", "url"))

    def of(self, certificate_ids: Sequence[str]) -> dict[str, list[Endpoint]]:
        """By certificate, then by URL."""
        found: dict[str, list[Endpoint]] = defaultdict(list)
        for item in _OF.rows(self._connection, certificate_ids):
            found[item.certificate_id].append(_endpoint(item))
        return found

    def note_look(self, certificate_id: str, url: str, at: datetime) -> None:
        """Somebody looked at an endpoint then, and missed it since."""
        row = tables.endpoint
        where = (row.c.certificate_id == certificate_id, row.c.url == url)
        self._connection.execute(update(row).where(*where).values(looked_at=at))


def _endpoint(row: Any) -> Endpoint:
    values = list(row)
    values[_ADDRESSES] = tuple(row.addresses or ())
    values[_VERDICT] = known_or_text(ServingVerdict, row.verdict) if row.verdict else None
    return Endpoint(*values)

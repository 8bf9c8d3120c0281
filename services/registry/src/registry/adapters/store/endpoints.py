"""Rows of endpoints."""

from dataclasses import asdict
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from certcore.events import ServingVerdict
from registry.adapters import tables
from registry.adapters.store.statements import put
from registry.domain.certificate import Endpoint

__all__ = ["Endpoints"]


class Endpoints:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def save(self, endpoint: Endpoint) -> None:
        await put(self._connection, tables.endpoint, asdict(endpoint), ("certificate_id", "url"))

    async def of(self, certificate_id: str) -> list[Endpoint]:
        row = tables.endpoint
        query = select(row).where(row.c.certificate_id == certificate_id).order_by(row.c.url)
        return [_endpoint(found) for found in await self._connection.execute(query)]


def _endpoint(row: Row[Any]) -> Endpoint:
    values = row._asdict()
    values["addresses"] = tuple(values["addresses"])
    values["verdict"] = ServingVerdict(values["verdict"]) if values["verdict"] else None
    return Endpoint(**values)

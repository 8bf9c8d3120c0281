"""Rows of deliveries."""

from dataclasses import asdict

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from registry.adapters import tables
from registry.adapters.store.statements import put
from registry.domain.certificate import Delivery

__all__ = ["Deliveries"]


class Deliveries:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def save(self, delivery: Delivery) -> None:
        await put(self._connection, tables.delivery, asdict(delivery), ("certificate_id", "target"))

    async def of(self, certificate_id: str) -> list[Delivery]:
        row = tables.delivery
        query = select(row).where(row.c.certificate_id == certificate_id).order_by(row.c.target)
        return [Delivery(**found._asdict()) for found in await self._connection.execute(query)]

    async def at(self, site: str, service: str | None = None) -> list[Delivery]:
        """Those of a site, or of one of its services."""
        row = tables.delivery
        query = select(row).where(row.c.site == site)
        if service is not None:
            query = query.where(row.c.service == service)
        return [Delivery(**found._asdict()) for found in await self._connection.execute(query)]

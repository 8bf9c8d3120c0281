"""Rows of sites: their recipients of sealed keys, their heartbeats, and the last review of their Secrets."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from certcore.events import DiscoveredSecret, Recipient
from registry.adapters import tables
from registry.adapters.store.statements import exists, put
from registry.domain.site import Site, recipient_name

__all__ = ["Sites"]


class Sites:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def enrol(self, name: str, recipients: Mapping[str, str], now: datetime) -> None:
        """Add a site or the services of one that is there; `recipients` maps service to public key."""
        if not await exists(self._connection, tables.site, {"name": name}):
            await self._connection.execute(insert(tables.site).values(name=name, enrolled_at=now))
        for service, public_key in recipients.items():
            values = {
                "name": recipient_name(name, service),
                "site": name,
                "service": service,
                "public_key": public_key,
            }
            await put(self._connection, tables.recipient, values, ("name",))

    async def all(self) -> list[Site]:
        """By name."""
        found = [row._asdict() for row in await self._connection.execute(select(tables.site))]
        recipients = [row._asdict() for row in await self._connection.execute(select(tables.recipient))]
        sites = []
        for row in sorted(found, key=lambda row: row["name"]):
            own = [item for item in recipients if item["site"] == row["name"]]
            review = row["review"] or {"secrets": [], "unreachable": []}
            sites.append(
                Site(
                    name=row["name"],
                    recipients=tuple(Recipient(name=item["name"], public_key=item["public_key"]) for item in own),
                    services=tuple(sorted(item["service"] for item in own)),
                    last_heartbeat=row["last_heartbeat"],
                    reviewed_at=row["reviewed_at"],
                    secrets=tuple(DiscoveredSecret.model_validate(item) for item in review["secrets"]),
                    unreachable=tuple(review["unreachable"]),
                )
            )
        return sites

    async def note_heartbeat(self, site: str, now: datetime) -> None:
        row = tables.site
        await self._connection.execute(update(row).where(row.c.name == site).values(last_heartbeat=now))

    async def save_review(
        self, site: str, secrets: Sequence[DiscoveredSecret], unreachable: Sequence[str], now: datetime
    ) -> None:
        row = tables.site
        review = {
            "secrets": [secret.model_dump(mode="json") for secret in secrets],
            "unreachable": list(unreachable),
        }
        await self._connection.execute(update(row).where(row.c.name == site).values(review=review, reviewed_at=now))

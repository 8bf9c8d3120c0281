"""What survives a restart: expectations, records of endpoints, and alerts that the bus hasn't taken yet."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from certcore.events import AlertRaised, AlertResolved, AlertUpdated
from monitor.adapters.tables import announcement, endpoint, expectation, registry
from monitor.domain.alerting import AlertEvent
from monitor.domain.registry_watch import RegistryRecord
from monitor.domain.watched import EndpointRecord, Expected, Key

__all__ = ["Announcement", "Store"]


@dataclass(frozen=True)
class Announcement:
    """An alert's event to publish. Its id is the same at every try, so that a stream keeps it once."""

    event: AlertEvent
    event_id: str

    @classmethod
    def of(cls, event: AlertEvent) -> Self:
        """The id tells apart the steps of an alert, and its findings: each has a `since` of its own."""
        step = event.updated_at if isinstance(event, AlertUpdated) else None
        identity = f"{event.type}\n{event.alert_id}\n{event.since.isoformat()}\n{step.isoformat() if step else ''}"
        return cls(event, hashlib.sha256(identity.encode()).hexdigest())


class Store:
    """One transaction at a time: SQLite has one writer. A hundred that wait for its lock would time out."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._lock = asyncio.Lock()

    async def load(self) -> tuple[list[Expected], list[EndpointRecord]]:
        async with self._transaction() as connection:
            expected = [Expected.model_validate(row.body) for row in await connection.execute(select(expectation))]
            records = [EndpointRecord.model_validate(row.body) for row in await connection.execute(select(endpoint))]
        return expected, records

    async def save_expected(self, expected: Expected) -> None:
        certificate_id = expected.event.certificate_id
        body = expected.model_dump(mode="json")
        async with self._transaction() as connection:
            changed = await connection.execute(
                update(expectation).where(expectation.c.certificate_id == certificate_id).values(body=body)
            )
            if changed.rowcount == 0:
                await connection.execute(insert(expectation).values(certificate_id=certificate_id, body=body))

    async def save_record(self, record: EndpointRecord, announcements: Sequence[Announcement] = ()) -> None:
        """Store a record together with the alerts that it led to: both or none."""
        certificate_id, url = record.key
        body = record.model_dump(mode="json")
        here = (endpoint.c.certificate_id == certificate_id) & (endpoint.c.url == url)
        async with self._transaction() as connection:
            changed = await connection.execute(update(endpoint).where(here).values(body=body))
            if changed.rowcount == 0:
                await connection.execute(insert(endpoint).values(certificate_id=certificate_id, url=url, body=body))
            await _announce(connection, announcements)

    async def drop_records(self, keys: Sequence[Key], announcements: Sequence[Announcement]) -> None:
        async with self._transaction() as connection:
            for certificate_id, url in keys:
                here = (endpoint.c.certificate_id == certificate_id) & (endpoint.c.url == url)
                await connection.execute(delete(endpoint).where(here))
            await _announce(connection, announcements)

    async def drop_expected(self, certificate_id: str) -> None:
        async with self._transaction() as connection:
            await connection.execute(delete(expectation).where(expectation.c.certificate_id == certificate_id))

    async def registry_record(self) -> RegistryRecord:
        """What was found of the registry, also before a restart."""
        async with self._transaction() as connection:
            found = (await connection.execute(select(registry))).one_or_none()
            return RegistryRecord.model_validate(found.body) if found is not None else RegistryRecord()

    async def save_registry_record(self, record: RegistryRecord, announcements: Sequence[Announcement]) -> None:
        """Store it together with the alerts that it led to."""
        async with self._transaction() as connection:
            await connection.execute(delete(registry))
            await connection.execute(insert(registry).values(name="registry", body=record.model_dump(mode="json")))
            await _announce(connection, announcements)

    async def unsent(self) -> list[Announcement]:
        """Alerts that the bus hasn't taken yet, in the order in which they were decided."""
        kinds: dict[str, type[AlertEvent]] = {kind.type: kind for kind in (AlertRaised, AlertUpdated, AlertResolved)}
        async with self._transaction() as connection:
            rows = await connection.execute(select(announcement).order_by(announcement.c.sequence))
            return [Announcement(kinds[row.event_type].model_validate(row.body), row.event_id) for row in rows]

    async def sent(self, item: Announcement) -> None:
        async with self._transaction() as connection:
            await connection.execute(delete(announcement).where(announcement.c.event_id == item.event_id))

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncConnection]:
        async with self._lock, self._engine.begin() as connection:
            yield connection


async def _announce(connection: AsyncConnection, announcements: Sequence[Announcement]) -> None:
    for item in announcements:
        await connection.execute(
            insert(announcement).values(
                event_id=item.event_id, event_type=item.event.type, body=item.event.model_dump(mode="json")
            )
        )

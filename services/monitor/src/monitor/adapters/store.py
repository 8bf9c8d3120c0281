"""What survives a restart: expectations, records of endpoints, and alerts that the bus hasn't taken yet."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from sqlalchemy import Connection, bindparam, delete, insert, select

from certcore.events import AlertRaised, AlertResolved, AlertUpdated
from certkit.prepared import Prepared
from certkit.transactions import Database
from certkit.upsert import put
from monitor.adapters.tables import announcement, endpoint, expectation, registry
from monitor.domain.alerting import AlertEvent
from monitor.domain.registry_watch import RegistryRecord
from monitor.domain.watched import EndpointRecord, Expected, Key

__all__ = ["Announcement", "Store"]

_DROP_ENDPOINT: Final = Prepared(
    delete(endpoint).where(endpoint.c.certificate_id == bindparam("of"), endpoint.c.url == bindparam("at"))
)
_DROP_EXPECTATION: Final = Prepared(delete(expectation).where(expectation.c.certificate_id == bindparam("of")))
_ANNOUNCE: Final = Prepared(insert(announcement))
_SENT: Final = Prepared(delete(announcement).where(announcement.c.event_id == bindparam("of")))
_REGISTRY: Final = "registry"


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
    """Each call is a transaction; what is saved at the same time shares a commit. All raise DatabaseBusyError where
    the database can't be used now.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self) -> tuple[list[Expected], list[EndpointRecord]]:
        def read(connection: Connection) -> tuple[list[Expected], list[EndpointRecord]]:
            expected = [Expected.model_validate(row.body) for row in connection.execute(select(expectation))]
            records = [EndpointRecord.model_validate(row.body) for row in connection.execute(select(endpoint))]
            return expected, records

        return await self._database.read(read)

    async def save_expected(self, expected: Expected) -> None:
        row = {"certificate_id": expected.event.certificate_id, "body": expected.model_dump(mode="json")}
        await self._database.write(lambda connection: put(connection, expectation, row, ("certificate_id",)))

    async def save_record(self, record: EndpointRecord, announcements: Sequence[Announcement] = ()) -> None:
        """Store a record together with the alerts that it led to: both or none."""
        certificate_id, url = record.key
        row = {"certificate_id": certificate_id, "url": url, "body": record.model_dump(mode="json")}

        def save(connection: Connection) -> None:
            put(connection, endpoint, row, ("certificate_id", "url"))
            _announce(connection, announcements)

        await self._database.write(save)

    async def drop_records(self, keys: Sequence[Key], announcements: Sequence[Announcement]) -> None:
        def drop(connection: Connection) -> None:
            _DROP_ENDPOINT.change_all(connection, ({"of": key[0], "at": key[1]} for key in keys))
            _announce(connection, announcements)

        await self._database.write(drop)

    async def drop_expected(self, certificate_id: str) -> None:
        await self._database.write(lambda connection: _DROP_EXPECTATION.change(connection, {"of": certificate_id}))

    async def registry_record(self) -> RegistryRecord:
        """What was found of the registry, also before a restart."""

        def read(connection: Connection) -> RegistryRecord:
            found = connection.execute(select(registry)).one_or_none()
            return RegistryRecord.model_validate(found.body) if found is not None else RegistryRecord()

        return await self._database.read(read)

    async def save_registry_record(self, record: RegistryRecord, announcements: Sequence[Announcement]) -> None:
        """Store it together with the alerts that it led to."""
        row = {"name": _REGISTRY, "body": record.model_dump(mode="json")}

        def save(connection: Connection) -> None:
            put(connection, registry, row, ("name",))
            _announce(connection, announcements)

        await self._database.write(save)

    async def unsent(self) -> list[Announcement]:
        """Alerts that the bus hasn't taken yet, in the order in which they were decided."""
        kinds: dict[str, type[AlertEvent]] = {kind.type: kind for kind in (AlertRaised, AlertUpdated, AlertResolved)}

        def read(connection: Connection) -> list[Announcement]:
            rows = connection.execute(select(announcement).order_by(announcement.c.sequence))
            return [Announcement(kinds[row.event_type].model_validate(row.body), row.event_id) for row in rows]

        return await self._database.read(read)

    async def sent(self, item: Announcement) -> None:
        await self._database.write(lambda connection: _SENT.change(connection, {"of": item.event_id}))


def _announce(connection: Connection, announcements: Sequence[Announcement]) -> None:
    for item in announcements:
        body = item.event.model_dump(mode="json")
        _ANNOUNCE.change(connection, {"event_id": item.event_id, "event_type": item.event.type, "body": body})

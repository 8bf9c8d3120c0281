"""Rows of services, by their heartbeats, and of probe workers, by their rounds."""

from dataclasses import asdict
from datetime import timedelta
from typing import Final

from sqlalchemy import Connection, select

from certkit.prepared import Prepared
from certkit.upsert import put
from registry.adapters import tables
from registry.domain.endpoint import ProbeWorker
from registry.domain.site import Carried, ServiceSeen

__all__ = ["ProbeWorkers", "Services"]


_SERVICES: Final = Prepared(select(tables.service).order_by(tables.service.c.place, tables.service.c.service))
_WORKERS: Final = Prepared(
    select(tables.probe_worker).order_by(tables.probe_worker.c.place, tables.probe_worker.c.name)
)


class Services:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def save(self, seen: ServiceSeen) -> None:
        values = asdict(seen) | {"kinds": list(seen.kinds) if seen.kinds is not None else None}
        put(self._connection, tables.service, values, ("place", "service"))

    def get(self, place: str, service: str) -> ServiceSeen | None:
        return next((seen for seen in self.all() if (seen.place, seen.service) == (place, service)), None)

    def all(self) -> list[ServiceSeen]:
        """By place and service."""
        return [
            ServiceSeen(**{**item._asdict(), "kinds": tuple(item.kinds) if item.kinds is not None else None})
            for item in _SERVICES.rows(self._connection)
        ]

    def carried(self) -> Carried:
        """The kinds that each service says it delivers to."""
        return {(seen.place, seen.service): frozenset(seen.kinds) for seen in self.all() if seen.kinds is not None}


class ProbeWorkers:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def save(self, worker: ProbeWorker) -> None:
        values = {
            "place": worker.place,
            "name": worker.name,
            "started": worker.started,
            "ended": worker.ended,
            "period_s": worker.period.total_seconds(),
            "looked": worker.looked,
            "missed": [list(key) for key in sorted(worker.missed)],
        }
        put(self._connection, tables.probe_worker, values, ("place", "name"))

    def all(self) -> list[ProbeWorker]:
        """By place and name."""
        return [
            ProbeWorker(
                name=item.name,
                place=item.place,
                started=item.started,
                ended=item.ended,
                period=timedelta(seconds=item.period_s),
                looked=item.looked,
                missed=frozenset((certificate_id, url) for certificate_id, url in item.missed or ()),
            )
            for item in _WORKERS.rows(self._connection)
        ]

"""Rounds that ask the registry whether it is ready."""

from datetime import timedelta

import structlog

from certcore.clock import Clock
from certcore.errors import TransientError
from certkit.registry_client import RegistryClient
from monitor.adapters.store import Announcement, Store
from monitor.domain.registry_watch import RegistryFault, RegistryRecord, follow
from monitor.handlers.alerts import AlertRelay

__all__ = ["RegistryWatch"]

log = structlog.get_logger()


class RegistryWatch:
    """`look` is a round of the background. What was found survives a restart."""

    def __init__(
        self, *, registry: RegistryClient, store: Store, relay: AlertRelay, clock: Clock, grace: timedelta
    ) -> None:
        self._registry = registry
        self._store = store
        self._relay = relay
        self._clock = clock
        self._grace = grace
        self._record: RegistryRecord | None = None

    async def look(self) -> None:
        before = self._record if self._record is not None else await self._store.registry_record()
        fault, detail = await self._ask()
        record, events = follow(before, fault, detail, now=self._clock(), grace=self._grace)
        if record != before:
            await self._store.save_registry_record(record, [Announcement.of(event) for event in events])
        self._record = record
        for event in events:
            log.warning("registry_watched", step=event.type, reason=event.reason, summary=event.summary)
        if events:
            await self._relay.flush()

    async def _ask(self) -> tuple[RegistryFault | None, str]:
        try:
            problem = await self._registry.not_ready()
        except TransientError as error:
            return RegistryFault.UNREACHABLE, str(error)
        return (RegistryFault.NOT_READY, problem) if problem is not None else (None, "")

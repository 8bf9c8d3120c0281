"""Alerts on their way to the bus: decided once, stored with what they tell of, published until the bus took them."""

import asyncio
from typing import Final

import structlog

from certcore import subjects
from certcore.errors import TransientError
from certcore.events import AlertRaised
from certkit.bus import EventPublisher
from monitor.adapters.store import Announcement, Store

__all__ = ["AlertRelay"]

log = structlog.get_logger()

_RETRY_S: Final = 5.0


class AlertRelay:
    def __init__(self, *, store: Store, publisher: EventPublisher) -> None:
        self._store = store
        self._publisher = publisher
        self._lock = asyncio.Lock()

    async def flush(self) -> None:
        """Publish what is stored, in order. What the bus doesn't take now stays for the next time."""
        async with self._lock:
            try:
                for item in await self._store.unsent():
                    await self._publish(item)
                    await self._store.sent(item)
            except TransientError as error:
                log.warning("alert_not_stored", error=str(error))

    async def keep_flushing(self) -> None:
        while True:
            await self.flush()
            await asyncio.sleep(_RETRY_S)

    async def _publish(self, item: Announcement) -> None:
        event = item.event
        await self._publisher.publish(
            event,
            subject=subjects.alert(event.owner, event.alert_id),
            stream=subjects.ALERTS,
            about=event.certificate_id,
            event_id=item.event_id,
        )
        name = "alert_raised" if isinstance(event, AlertRaised) else "alert_resolved"
        log.info(name, alert_id=event.alert_id, severity=event.severity, owner=event.owner, summary=event.summary)

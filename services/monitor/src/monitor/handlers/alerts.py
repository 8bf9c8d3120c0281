"""Alerts on their way to the bus: stored with the record that they belong to, published until the bus took them."""

import asyncio

import structlog

from certcore import subjects
from certcore.errors import TransientError
from certkit.bus import EventPublisher
from monitor.adapters.store import Announcement, Store

__all__ = ["AlertRelay"]

log = structlog.get_logger()


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
                log.warning("alert_not_published", error=str(error))

    async def _publish(self, item: Announcement) -> None:
        event = item.event
        await self._publisher.publish(
            event,
            subject=subjects.alert(event.owner, event.alert_id),
            stream=subjects.ALERTS,
            about=event.subject,
            event_id=item.event_id,
        )
        log.info(
            "alert_published",
            step=subjects.event_name(event.type),
            alert_id=event.alert_id,
            severity=event.severity,
            owner=event.owner,
            summary=event.summary,
        )

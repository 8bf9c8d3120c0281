"""What the pusher tells the registry."""

from datetime import datetime

from cdn_pusher.domain.agenda import Item
from cdn_pusher.domain.errors import DeliveryError
from certcore import subjects
from certcore.events import DeliveryFailed, DeliverySucceeded, Event, SiteHeartbeat
from certkit.bus import EventPublisher

__all__ = ["SERVICE", "Reports"]

SERVICE = "pusher"


class Reports:
    """Raises TransientError where the bus didn't store a report."""

    def __init__(self, *, publisher: EventPublisher, site: str, version: str) -> None:
        self._publisher = publisher
        self._site = site
        self._version = version

    async def delivered(self, item: Item, *, repaired: bool) -> None:
        order = item.order
        await self._publish(
            DeliverySucceeded(
                certificate_id=order.certificate_id,
                revision=order.revision,
                target=item.target,
                fingerprint_sha256=order.fingerprint_sha256,
                repaired=repaired,
            ),
            about=order.certificate_id,
        )

    async def failed(self, item: Item, error: DeliveryError, *, next_try: datetime | None) -> None:
        order = item.order
        await self._publish(
            DeliveryFailed(
                certificate_id=order.certificate_id,
                revision=order.revision,
                target=item.target,
                reason=error.reason,
                detail=error.detail,
                next_try=next_try,
            ),
            about=order.certificate_id,
        )

    async def alive(self) -> None:
        await self._publish(SiteHeartbeat(site=self._site, service=SERVICE, version=self._version), about=self._site)

    async def _publish(self, event: Event, *, about: str) -> None:
        subject = subjects.status(self._site, SERVICE, event.type, about)
        await self._publisher.publish(event, subject=subject, stream=subjects.STATUS, about=about)

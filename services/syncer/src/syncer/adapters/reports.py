"""What the syncer tells the registry."""

from collections.abc import Sequence

from certcore import subjects
from certcore.events import (
    DeliveryFailed,
    DeliverySucceeded,
    DiscoveredSecret,
    Event,
    SiteHeartbeat,
    SiteReviewed,
)
from certkit.bus import EventPublisher

__all__ = ["SERVICE", "Reports"]

SERVICE = "syncer"


class Reports:
    """Each call raises TransientError where the report isn't known to be stored: it may be told again."""

    def __init__(self, *, publisher: EventPublisher, site: str, version: str, clusters: Sequence[str]) -> None:
        self._publisher = publisher
        self._site = site
        self._version = version
        self._clusters = tuple(clusters)

    async def delivery(self, event: DeliverySucceeded | DeliveryFailed) -> None:
        await self._publish(event, about=event.certificate_id)

    async def heartbeat(self) -> None:
        event = SiteHeartbeat(site=self._site, service=SERVICE, version=self._version, clusters=self._clusters)
        await self._publish(event, about=self._site)

    async def reviewed(self, secrets: tuple[DiscoveredSecret, ...], unreachable: tuple[str, ...]) -> None:
        await self._publish(SiteReviewed(site=self._site, secrets=secrets, unreachable=unreachable), about=self._site)

    async def _publish(self, event: Event, *, about: str) -> None:
        subject = subjects.status(self._site, SERVICE, event.type, about)
        await self._publisher.publish(event, subject=subject, stream=subjects.STATUS, about=about)

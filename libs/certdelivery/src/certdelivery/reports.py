"""What a deliverer reports to the registry; no other module publishes."""

from collections.abc import Sequence
from typing import Protocol

from certcore.events import (
    CONTRACT,
    CsrOffered,
    DeliveryWithdrawn,
    DiscoveredSecret,
    Event,
    PlacementReport,
    SiteHeartbeat,
    SiteReviewed,
)

__all__ = ["Publisher", "Reports"]


class Publisher(Protocol):
    """As `certkit.reports.StatusReports`."""

    async def publish(self, event: Event, *, about: str) -> None: ...


class Reports:
    """Each call raises TransientError where the report isn't known to be stored: it may be repeated."""

    def __init__(
        self,
        publisher: Publisher,
        *,
        place: str,
        service: str,
        version: str,
        kinds: Sequence[str],
        clusters: Sequence[str] = (),
    ) -> None:
        self._publisher = publisher
        self._place = place
        self._service = service
        self._version = version
        self._kinds = tuple(sorted(kinds))
        self._clusters = tuple(clusters)

    async def delivery(self, event: PlacementReport | DeliveryWithdrawn) -> None:
        await self._publisher.publish(event, about=event.certificate_id)

    async def csr(self, event: CsrOffered) -> None:
        await self._publisher.publish(event, about=event.certificate_id)

    async def heartbeat(self) -> None:
        event = SiteHeartbeat(
            site=self._place,
            service=self._service,
            version=self._version,
            clusters=self._clusters,
            kinds=self._kinds,
            contract=CONTRACT,
        )
        await self._publisher.publish(event, about=self._place)

    async def reviewed(self, secrets: tuple[DiscoveredSecret, ...], unreachable: tuple[str, ...]) -> None:
        event = SiteReviewed(site=self._place, secrets=secrets, unreachable=unreachable)
        await self._publisher.publish(event, about=self._place)

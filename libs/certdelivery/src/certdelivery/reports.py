"""What a deliverer reports to the registry of its work; that it lives is told by `certkit.heartbeat`."""

from typing import Protocol

from certcore import subjects
from certcore.events import (
    ChallengeShown,
    CsrOffered,
    DeliveryWithdrawn,
    DiscoveredSecret,
    Event,
    PlacementReport,
    SiteReviewed,
)

__all__ = ["Publisher", "Reports"]


class Publisher(Protocol):
    """As `certkit.reports.StatusReports`."""

    async def publish(self, event: Event, *, about: str) -> None: ...


class Reports:
    """Each call raises TransientError where the report isn't known to be stored: it may be repeated."""

    def __init__(self, publisher: Publisher, *, place: str) -> None:
        self._publisher = publisher
        self._place = place

    async def delivery(self, event: PlacementReport | DeliveryWithdrawn) -> None:
        await self._publisher.publish(event, about=event.certificate_id)

    async def csr(self, event: CsrOffered) -> None:
        await self._publisher.publish(event, about=event.certificate_id)

    async def challenge(self, event: ChallengeShown) -> None:
        await self._publisher.publish(event, about=subjects.challenge_key(event.host, event.challenge_token))

    async def reviewed(self, secrets: tuple[DiscoveredSecret, ...], unreachable: tuple[str, ...]) -> None:
        event = SiteReviewed(site=self._place, secrets=secrets, unreachable=unreachable)
        await self._publisher.publish(event, about=self._place)

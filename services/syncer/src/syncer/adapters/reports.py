"""What the syncer tells the registry."""

from collections.abc import Sequence

from certcore.events import (
    DeliveryFailed,
    DeliverySucceeded,
    DiscoveredSecret,
    SiteHeartbeat,
    SiteReviewed,
)
from certcore.identities import Service
from certkit.reports import StatusReports

__all__ = ["Reports"]


class Reports:
    """Each call raises TransientError where the report isn't known to be stored: it may be told again."""

    def __init__(self, *, reports: StatusReports, site: str, version: str, clusters: Sequence[str]) -> None:
        self._reports = reports
        self._site = site
        self._version = version
        self._clusters = tuple(clusters)

    async def delivery(self, event: DeliverySucceeded | DeliveryFailed) -> None:
        await self._reports.publish(event, about=event.certificate_id)

    async def heartbeat(self) -> None:
        event = SiteHeartbeat(site=self._site, service=Service.SYNCER, version=self._version, clusters=self._clusters)
        await self._reports.publish(event, about=self._site)

    async def reviewed(self, secrets: tuple[DiscoveredSecret, ...], unreachable: tuple[str, ...]) -> None:
        await self._reports.publish(
            SiteReviewed(site=self._site, secrets=secrets, unreachable=unreachable), about=self._site
        )

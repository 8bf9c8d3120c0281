"""What the monitor reports to the registry: observations, probe rounds, and that it is alive."""

from certcore.events import CONTRACT, EndpointObserved, ProbeRound, SiteHeartbeat
from certcore.identities import HUB, Service
from certkit.reports import StatusReports

__all__ = ["Reports"]


class Reports:
    """Each call raises TransientError where the bus didn't acknowledge the report: it may be published again."""

    def __init__(self, reports: StatusReports, *, version: str) -> None:
        self._reports = reports
        self._version = version

    async def observed(self, event: EndpointObserved) -> None:
        await self._reports.publish(event, about=event.certificate_id)

    async def probe_round(self, event: ProbeRound) -> None:
        await self._reports.publish(event, about=event.worker)

    async def heartbeat(self) -> None:
        event = SiteHeartbeat(site=HUB, service=Service.MONITOR, version=self._version, contract=CONTRACT)
        await self._reports.publish(event, about=HUB)

"""What the monitor reports to the registry: observations and probe rounds."""

from certcore.events import EndpointObserved, ProbeRound
from certkit.reports import StatusReports

__all__ = ["Reports"]


class Reports:
    """Each call raises TransientError where the bus didn't acknowledge the report: it may be published again."""

    def __init__(self, reports: StatusReports) -> None:
        self._reports = reports

    async def observed(self, event: EndpointObserved) -> None:
        await self._reports.publish(event, about=event.certificate_id)

    async def probe_round(self, event: ProbeRound) -> None:
        await self._reports.publish(event, about=event.worker)

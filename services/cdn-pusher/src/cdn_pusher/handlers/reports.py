"""What the pusher tells the registry."""

from datetime import datetime

from cdn_pusher.domain.agenda import Item
from cdn_pusher.domain.errors import DeliveryError
from certcore.events import DeliveryFailed, DeliverySucceeded, SiteHeartbeat
from certcore.identities import Service
from certkit.reports import StatusReports

__all__ = ["Reports"]


class Reports:
    """Raises TransientError where the bus didn't store a report."""

    def __init__(self, *, reports: StatusReports, site: str, version: str) -> None:
        self._reports = reports
        self._site = site
        self._version = version

    async def delivered(self, item: Item, *, repaired: bool) -> None:
        order = item.order
        await self._reports.publish(
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
        await self._reports.publish(
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
        await self._reports.publish(
            SiteHeartbeat(site=self._site, service=Service.PUSHER, version=self._version), about=self._site
        )

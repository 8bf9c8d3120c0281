"""The API for processes that aren't on the bus to tell that they live."""

from fastapi import APIRouter, status

from certcore.events import SiteHeartbeat
from certcore.identities import ESCROW, HUB
from certcore.subjects import Reporter
from registry.adapters.store import Store
from registry.domain.errors import ForbiddenError
from registry.handlers.http.auth import EscrowService
from registry.handlers.reports.sites import SiteReports

__all__ = ["heartbeats_router"]


def heartbeats_router(*, store: Store, reports: SiteReports) -> APIRouter:
    router = APIRouter(prefix="/v1/heartbeats", tags=["services"])

    @router.post("", status_code=status.HTTP_204_NO_CONTENT)
    async def hear(heartbeat: SiteHeartbeat, caller: EscrowService) -> None:
        """Take the escrow's heartbeat; it can report only as itself."""
        who = Reporter(HUB, ESCROW)
        if (heartbeat.site, heartbeat.service) != (HUB, ESCROW):
            raise ForbiddenError(f"{caller.subject} can't report for {heartbeat.service} at {heartbeat.site}")
        await store.write(lambda transaction: reports.on_heartbeat(transaction, heartbeat, who))

    return router

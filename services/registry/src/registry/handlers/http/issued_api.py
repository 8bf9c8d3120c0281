"""The API of a restore: the issuer tells what it has, and people see what of it the registry has lost."""

from fastapi import APIRouter

from certcore.api import IssuedAnswer, IssuedReport, RestoreView
from registry.handlers.http.auth import IssuerService, Viewer
from registry.handlers.restoration import Restoration

__all__ = ["issued_router"]


def issued_router(*, restoration: Restoration) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["services"])

    @router.post("/issued")
    async def report_issued(report: IssuedReport, caller: IssuerService) -> IssuedAnswer:
        """A part of what the issuer has, in the epoch that the orders name. The answer to the last part names what
        the issuer should store again.
        """
        return await restoration.report(report, actor=caller.subject)

    @router.get("/restore")
    async def show_restore(_: Viewer) -> RestoreView:
        """Whether the registry runs on a copy that was restored, and what of it is still missing."""
        return await restoration.view()

    return router

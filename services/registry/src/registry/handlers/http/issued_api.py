"""The API by which the issuer tells a registry what it has: after a restore, the registry may have lost it."""

from fastapi import APIRouter

from certcore.api import IssuedAnswer, IssuedReport
from registry.handlers.http.auth import IssuerService
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

    return router

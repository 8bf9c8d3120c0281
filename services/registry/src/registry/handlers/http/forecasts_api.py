"""What is used of the CAs' limits, by the issuer; and when orders could go under them, for whoever plans."""

from fastapi import APIRouter, status

from certcore.ca_limits.forecast import ForecastAnswer, ForecastQuestion
from certcore.ca_limits.report import LimitsReport
from registry.handlers.forecasts import Forecasts
from registry.handlers.http.auth import IssuerService, Operator

__all__ = ["forecasts_router"]


def forecasts_router(*, forecasts: Forecasts) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["planning"])

    @router.put("/limits", status_code=status.HTTP_204_NO_CONTENT)
    async def tell_limits(report: LimitsReport, _: IssuerService) -> None:
        """What is used of each limit now; the newest report counts."""
        await forecasts.told(report)

    @router.post("/forecasts")
    async def foresee(question: ForecastQuestion, _: Operator) -> ForecastAnswer:
        """When these orders could go under the CAs' limits, if nothing else is ordered, by what the issuer told at
        `limits_at`. Nothing is ordered or reserved.
        """
        return await forecasts.answer(question)

    return router

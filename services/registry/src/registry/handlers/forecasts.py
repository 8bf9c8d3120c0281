"""When orders could go under the CAs' limits, by what the issuer told last of them."""

import asyncio
from datetime import timedelta
from functools import partial
from typing import Final

import structlog

from certcore.ca_limits.forecast import ForecastAnswer, ForecastQuestion, answer
from certcore.ca_limits.report import LimitsReport, state_of
from certcore.clock import Clock
from registry.adapters.store import Store
from registry.domain.errors import ConflictError

__all__ = ["Forecasts"]

log = structlog.get_logger()

_SKEW: Final = timedelta(hours=1)
_BEYOND: Final = "by the limits that the issuer told, some of them would go after the end of the calendar"


class Forecasts:
    """One question is answered at a time: each takes CPU that other requests need."""

    def __init__(self, *, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._turn = asyncio.Lock()

    async def told(self, report: LimitsReport) -> None:
        """Keep what is used of the limits, unless something newer is kept.

        Raises:
            ConflictError: it is of the future.
        """
        if report.made_at > self._clock() + _SKEW:
            raise ConflictError("it was made by a clock that is ahead of the registry's")
        await self._store.write(lambda transaction: transaction.ca_limits.keep(report))

    async def answer(self, question: ForecastQuestion) -> ForecastAnswer:
        """
        Raises:
            ConflictError: the issuer told nothing yet.
        """
        report = await self._store.read(lambda transaction: transaction.ca_limits.newest())
        if report is None:
            raise ConflictError("the issuer has told nothing of the CAs' limits yet")
        async with self._turn:
            foresee = partial(_foreseen, report, question)
            return await asyncio.to_thread(foresee, self._clock)


def _foreseen(report: LimitsReport, question: ForecastQuestion, clock: Clock) -> ForecastAnswer:
    try:
        return answer(state_of(report), question.orders, now=clock(), limits_at=report.made_at)
    except OverflowError:
        raise ConflictError(_BEYOND) from None

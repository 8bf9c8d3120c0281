"""Keeps CAs from costing each other anything: how each stands, and what its jobs may do now."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import structlog

from certcore.clock import Clock
from certkit.readiness import Finding
from issuer.domain.breaker import (
    ANSWERS,
    CLOSED,
    TROUBLES,
    Breaker,
    BreakerRule,
    after_trouble,
)
from issuer.domain.bulkhead import is_left, slots_of, spread
from issuer.domain.failure import FailureReason, JobWaitsError
from issuer.domain.fallback import Fallback, fall_back
from issuer.domain.job import Job
from issuer.domain.retry import Outage
from issuer.handlers.metrics import Metrics

__all__ = ["Bulkheads"]

log = structlog.get_logger()

_NEW_ORDERS_AT_ONCE: Final = 3
"""So many may meet a rate limit before the first has told of it."""
_QUEUE_S: Final = 1.0
_QUEUED_AGAIN: Final = timedelta(seconds=2)
_AWAY_WAIT: Final = timedelta(minutes=2)


@dataclass
class _Cell:
    breaker: Breaker = CLOSED
    new_orders: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_NEW_ORDERS_AT_ONCE))


class Bulkheads:
    """`in_flight` is how many jobs each CA may have under way, `patience` for how long it may be away before its jobs
    leave it.
    """

    def __init__(
        self,
        *,
        in_flight: Mapping[str, int],
        rule: BreakerRule,
        patience: timedelta,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._in_flight = in_flight
        self._rule = rule
        self._patience = patience
        self._metrics = metrics
        self._clock = clock
        self._cells = {ca: _Cell() for ca in in_flight}
        for ca in in_flight:
            metrics.ca_away(ca, away=False)

    def slots(self, now: datetime) -> dict[str, int]:
        """How many jobs of each CA may be under way now."""
        return {
            ca: slots_of(self._in_flight[ca], cell.breaker, patience=self._patience, now=now)
            for ca, cell in self._cells.items()
        }

    def following(self, job: Job, *, known: Collection[str], hindered: Mapping[str, str]) -> Fallback:
        """Which of the `known` CAs the job goes to now in place of its own; those that are `hindered` can't be it."""
        away, now = self.away(), self._clock()
        return fall_back(job, known=known, away=away, hindered=hindered, patience=self._patience, now=now)

    def admit(self, job: Job, *, beside: str = "") -> None:
        """Before a job asks its CA; `beside` tells why it stays there.

        Raises:
            JobWaitsError: nobody asks it now.
        """
        cell, now = self._cells.get(job.ca or ""), self._clock()
        if cell is None or not is_left(cell.breaker, patience=self._patience, now=now):
            return
        wait = _AWAY_WAIT + spread(str(job.id), over=_AWAY_WAIT)
        since = f"{cell.breaker.away_since:%Y-%m-%dT%H:%M:%SZ}"
        told = "; ".join(filter(None, [f"{job.ca} doesn't answer since {since}", beside]))
        raise JobWaitsError(FailureReason.CA_AWAY, told, wait=wait)

    def away(self) -> dict[str, datetime]:
        """Since when those CAs are away that are."""
        cells = self._cells.items()
        return {ca: cell.breaker.away_since for ca, cell in cells if cell.breaker.away_since is not None}

    def answered(self, ca: str | None) -> None:
        cell = self._cells.get(ca or "")
        if cell is None or cell.breaker == CLOSED:
            return
        if cell.breaker.away_since is not None:
            log.info("ca_back", ca=ca, away_since=cell.breaker.away_since.isoformat())
            self._metrics.ca_away(ca or "", away=False)
        cell.breaker = CLOSED

    def failed(self, ca: str | None, reason: FailureReason, *, retry_after: timedelta | None) -> Outage:
        """Take note of what a job met; whether its CA is away for all."""
        cell = self._cells.get(ca or "")
        if cell is None:
            return Outage.NONE
        if reason in ANSWERS:
            self.answered(ca)
            return Outage.NONE
        was_away = cell.breaker.away_since is not None
        if reason in TROUBLES:
            cell.breaker = after_trouble(cell.breaker, now=self._clock(), rule=self._rule, retry_after=retry_after)
        if was_away:
            return Outage.GOES_ON
        if cell.breaker.away_since is None:
            return Outage.NONE
        log.warning("ca_away", ca=ca, failures=cell.breaker.failures, reason=reason)
        self._metrics.ca_away(ca or "", away=True)
        return Outage.BEGAN

    @asynccontextmanager
    async def new_order(self, job: Job) -> AsyncIterator[None]:
        """Around a newOrder: few at once.

        Raises:
            JobWaitsError: it is to be tried later.
        """
        cell = self._cells[job.ca or ""]
        try:
            async with asyncio.timeout(_QUEUE_S):
                await cell.new_orders.acquire()
        except TimeoutError:
            later = _QUEUED_AGAIN + spread(str(job.id), over=_QUEUED_AGAIN)
            raise JobWaitsError(FailureReason.CA_BUSY, f"{job.ca} takes long to open orders", wait=later) from None
        try:
            yield
        finally:
            cell.new_orders.release()

    def findings(self) -> list[Finding]:
        """For people: a CA that is away doesn't keep the issuer from its work."""
        return [Finding(check=f"ca {ca}", detail="is away", since=since) for ca, since in self.away().items()]

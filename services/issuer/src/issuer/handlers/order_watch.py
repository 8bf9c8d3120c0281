"""Watches an order at its CA until it moves, and tells an order that is lost from a CA that is away."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Final

from certcore.clock import Clock
from issuer.adapters.journal import Journal
from issuer.cas.acme.ca import AcmeCa
from issuer.domain.ca_order import OrderMove, OrderView, judge_order
from issuer.domain.errors import AcmeProblemError, CaUnreachableError
from issuer.domain.failure import FailureReason, JobFailedError
from issuer.domain.job import Job
from issuer.domain.polling import delay_before_look

__all__ = ["OrderWatch"]

_LONGEST_WATCH: Final = timedelta(seconds=30)
"""How long one step watches an order; a slower CA is looked at again by timer."""

_GONE: Final = frozenset({"malformed", "unauthorized", "accountDoesNotExist"})


class OrderWatch:
    """`patience` is for how long a CA that answers otherwise may leave one order unanswered."""

    def __init__(self, *, cas: Mapping[str, AcmeCa], journal: Journal, clock: Clock, patience: timedelta) -> None:
        self._cas = cas
        self._journal = journal
        self._clock = clock
        self._patience = patience

    def ca_of(self, job: Job) -> AcmeCa:
        ca = self._cas.get(job.ca or "")
        if ca is None:
            raise JobFailedError(FailureReason.UNKNOWN_CA, f"no CA named {job.ca} is configured any more")
        return ca

    async def look(self, job: Job) -> tuple[Job, OrderView]:
        """Ask how the order stands, and tell an order that is gone from a CA that is away.

        Raises:
            JobFailedError: ORDER_LOST where the CA doesn't know it any more; ORDER_UNANSWERED and, when patience
                is at its end, ORDER_STALLED where the CA answers, but not about this order.
        """
        order = job.ca_order
        if order is None:
            raise JobFailedError(FailureReason.ORDER_LOST, "the journal has no order URL")
        try:
            view = await self.ca_of(job).order(order.url)
        except AcmeProblemError as problem:
            if problem.status in {404, 410} or problem.type in _GONE:
                raise JobFailedError(FailureReason.ORDER_LOST, f"{order.url}: {problem}") from problem
            raise
        except CaUnreachableError as error:
            if not error.timed_out or not await self.ca_of(job).answers():
                raise
            since = order.unanswered_since
            if since is not None and self._clock() - since >= self._patience:
                raise JobFailedError(FailureReason.ORDER_STALLED, str(error)) from error
            raise JobFailedError(FailureReason.ORDER_UNANSWERED, str(error)) from error
        if order.unanswered_since is not None:
            answered = replace(order, unanswered_since=None)
            job = await self._journal.advance(job, replace(job, ca_order=answered))
        return job, view

    async def until_moved(self, job: Job, *, still: OrderMove, view: OrderView) -> tuple[Job, OrderView]:
        """Look at the order until it moves.

        Raises:
            JobFailedError: ORDER_SLOW where it didn't for long; it is looked at again later.
        """
        until, look = self._clock() + _LONGEST_WATCH, 1
        while judge_order(view) is still:
            if self._clock() >= until:
                raise JobFailedError(
                    FailureReason.ORDER_SLOW, f"{view.url} is {view.status}", retry_after=view.retry_after
                )
            await asyncio.sleep(delay_before_look(look, retry_after=view.retry_after))
            job, view = await self.look(job)
            look += 1
        return job, view

    async def why_invalid(self, job: Job, view: OrderView) -> str:
        """The CA's reason: some tell it in the order, some only in the authorization that failed."""
        if view.problem:
            return view.problem
        for url in view.authorizations:
            authorization = await self.ca_of(job).authorization(url)
            if authorization.problem:
                return f"{authorization.identifier}: {authorization.problem}"
        return "the CA gives no reason"

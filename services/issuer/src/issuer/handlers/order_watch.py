"""Watches an order at its CA until it moves, and tells an order that is lost from a CA that is away."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Final

from certcore.clock import Clock
from issuer.adapters.journal import Journal
from issuer.domain.ca_order import OrderMove, OrderView, judge_order
from issuer.domain.errors import AcmeProblemError, CaUnreachableError
from issuer.domain.failure import FailureReason, JobFailedError, JobWaitsError, reason_of_invalid, told
from issuer.domain.job import Job
from issuer.domain.order_loss import Evidence, answered, denies, is_blank, judge_blank, judge_denial
from issuer.domain.ordering_ca import OrderingCa
from issuer.domain.polling import Pace, delay_before_look, learned, wait_by_timer
from issuer.handlers.progress import Progress

__all__ = ["OrderWatch"]

_NO_REASON: Final = "the CA gives no reason"


class OrderWatch:
    """`patience` is for how long a CA that answers otherwise may leave one order unanswered."""

    def __init__(
        self,
        *,
        cas: Mapping[str, OrderingCa],
        journal: Journal,
        clock: Clock,
        patience: timedelta,
        evidence: Evidence,
    ) -> None:
        self._cas = cas
        self._journal = journal
        self._clock = clock
        self._patience = patience
        self._evidence = evidence
        self._paces: defaultdict[tuple[str | None, OrderMove], Pace] = defaultdict(Pace)

    def ca_of(self, job: Job) -> OrderingCa:
        ca = self._cas.get(job.ca or "")
        if ca is None:
            raise JobFailedError(FailureReason.UNKNOWN_CA, f"no CA named {job.ca} is configured any more")
        return ca

    async def look(self, at: Progress) -> OrderView:
        """Ask how the order stands, and tell an order that is gone from a CA that is away.

        Raises:
            JobFailedError: ORDER_DENIED and, when the evidence suffices, ORDER_LOST where the CA says that it has no
                such order; ORDER_UNANSWERED and, when patience is at its end, ORDER_STALLED where the CA answers, but
                not about this order.
        """
        job, order = at.job, at.job.ca_order
        if order is None:
            raise JobFailedError(FailureReason.UNFORESEEN, "the journal has no order URL")
        try:
            at.view = view = await self.ca_of(job).order(order.url)
        except AcmeProblemError as problem:
            judge = judge_denial if denies(problem) else judge_blank if is_blank(problem) else None
            if judge is None:
                raise
            account = await self.ca_of(job).account_answers()
            detail, now = f"{order.url}: {told(problem)}", self._clock()
            raise judge(job, detail, account_answers=account, evidence=self._evidence, now=now) from problem
        except CaUnreachableError as error:
            if not error.timed_out or not await self.ca_of(job).answers():
                raise
            since = order.unanswered_since
            if since is not None and self._clock() - since >= self._patience:
                raise JobFailedError(FailureReason.ORDER_STALLED, str(error)) from error
            raise JobFailedError(FailureReason.ORDER_UNANSWERED, str(error)) from error
        if answered(order) is not order:
            at.job = await self._journal.advance(job, replace(job, ca_order=answered(order)))
        return view

    async def until_moved(self, at: Progress, *, still: OrderMove, view: OrderView) -> OrderView:
        """Look at the order until it moves.

        Raises:
            JobWaitsError: it takes longer than a few quick looks; it is looked at again by timer.
        """
        if judge_order(view) is not still:
            return view
        if at.job.reason is FailureReason.ORDER_SLOW:
            raise self._by_timer(at.job, view)
        pace = self._paces[at.job.ca, still]
        began, look = self._clock(), 1
        while judge_order(view) is still:
            elapsed = (self._clock() - began).total_seconds()
            delay = delay_before_look(look, elapsed=elapsed, retry_after=view.retry_after, pace=pace)
            if delay is None:
                raise self._by_timer(at.job, view)
            await asyncio.sleep(delay)
            view = await self.look(at)
            if look == 1:
                pace = learned(pace, moved=judge_order(view) is not still)
                self._paces[at.job.ca, still] = pace
            look += 1
        return view

    def _by_timer(self, job: Job, view: OrderView) -> JobWaitsError:
        slow = job.reason is FailureReason.ORDER_SLOW and job.problem_at is not None
        waited = self._clock() - job.problem_at if slow and job.problem_at else timedelta()
        wait = wait_by_timer(waited, retry_after=view.retry_after)
        return JobWaitsError(FailureReason.ORDER_SLOW, f"{view.url} is {view.status}", wait=wait)

    async def invalid(self, job: Job, view: OrderView) -> JobFailedError:
        """What an invalid order means: some CAs tell why in the order, some only in the authorization that failed."""
        problems, types = [view.problem] if view.problem else [], [*view.problem_types]
        for url in () if view.problem else view.authorizations:
            authorization = await self.ca_of(job).authorization(url)
            if authorization.problem:
                problems.append(f"{authorization.identifier}: {authorization.problem}")
                types += authorization.problem_types
        detail = "; ".join(problems) or _NO_REASON
        return JobFailedError(reason_of_invalid(types), detail, order_over=True)

"""Takes issue orders: off the bus, and from the registry's list. A job is stored before anything is done about it."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Final

import structlog

from certcore.api import BundleWanted
from certcore.clock import Clock
from certcore.cloudevents import Envelope
from certcore.events import CertificateApproved, CertificateRenewalDue, CsrAccepted, IssueOrder
from certkit.telemetry import current_traceparent
from issuer.adapters.journal import Journal
from issuer.domain.admission import identify, objection_to
from issuer.domain.ca_traits import CaTraits
from issuer.domain.choice import CaPolicy, choose_ca
from issuer.domain.errors import (
    JobTakenError,
    NoFittingCaError,
    UnidentifiedIssueOrderError,
    UnknownCaError,
    UnsupportedIssueOrderError,
)
from issuer.domain.job import Job, JobId
from issuer.domain.reopening import Reopening, ReopeningReason, hand_over_again, reopen, reopen_listed
from issuer.domain.retry import decide_retry
from issuer.handlers.budgets import Budgets

__all__ = ["IssueOrders"]

log = structlog.get_logger()

_AT_ONCE: Final = 100
"""Listed orders that are stored beside each other."""


class IssueOrders:
    def __init__(
        self,
        *,
        journal: Journal,
        policy: CaPolicy,
        cas: Mapping[str, CaTraits],
        budgets: Budgets,
        wake: Callable[[], None],
        clock: Clock,
    ) -> None:
        self._journal = journal
        self._policy = policy
        self._cas = cas
        self._budgets = budgets
        self._wake = wake
        self._clock = clock

    async def approved(self, event: CertificateApproved, _: Envelope) -> None:
        """
        Raises:
            UnidentifiedIssueOrderError: the issue order is to be set aside.
            DatabaseBusyError: it is to be announced again.
        """
        await self._announced(event.order)

    async def renewal_due(self, event: CertificateRenewalDue, _: Envelope) -> None:
        """
        Raises:
            UnidentifiedIssueOrderError, DatabaseBusyError: as `approved`.
        """
        await self._announced(event.order)

    async def csr_accepted(self, event: CsrAccepted, _: Envelope) -> None:
        """
        Raises:
            UnidentifiedIssueOrderError, DatabaseBusyError: as `approved`.
        """
        await self._announced(event.order)

    async def listed(self, listed: Iterable[IssueOrder], *, first: bool) -> None:
        """Take what the registry lists as ordered and not issued; `first` is the first list after a start.

        Raises:
            DatabaseBusyError: the list is to be read again.
        """
        orders: dict[JobId, IssueOrder] = {}
        for order in listed:
            try:
                orders[identify(order)] = order
            except UnidentifiedIssueOrderError as error:
                log.warning("issue_order_unidentified", error=str(error))
        listed_jobs = list(orders.items())
        for start in range(0, len(listed_jobs), _AT_ONCE):
            part = listed_jobs[start : start + _AT_ONCE]
            known = await self._journal.found([job_id for job_id, _ in part])
            await asyncio.gather(
                *(self._listed(known.get(job_id), job_id, order, first=first) for job_id, order in part)
            )
            self._wake()

    async def wanted(self, wanted: Iterable[BundleWanted]) -> None:
        """Hand bundles over again that the registry lost.

        Raises:
            JobTakenError: somebody works on one of them: the registry is to be asked again.
            DatabaseBusyError: as above.
        """
        ids = [JobId(item.certificate_id, item.revision, item.variant) for item in wanted]
        known = await self._journal.found(ids)
        for job_id in ids:
            job = known.get(job_id)
            if job is None:
                log.warning("bundle_unknown", **_about(job_id))
                continue
            reopening = hand_over_again(job, now=self._clock())
            if not await self._store(job, reopening):
                raise JobTakenError(str(job_id))
            log.info("bundle_wanted", **_about(job_id), reason=reopening.reason)
        self._wake()

    async def _listed(self, job: Job | None, job_id: JobId, order: IssueOrder, *, first: bool) -> None:
        if job is None:
            new = self._new(job_id, order)
            if await self._journal.accept(new) is new:
                log.info("listed_order_accepted", **_about(job_id), ca=new.ca, problem=new.problem)
            return
        reopening = reopen_listed(job, order, now=self._clock(), first=first)
        if reopening.job is not job and await self._store(job, reopening):
            log.info("listed_order_taken_up", **_about(job_id), reason=reopening.reason)

    async def _announced(self, issue_order: IssueOrder) -> None:
        job_id = identify(issue_order)
        # An event may be old, and its job forgotten; what is ordered today is in the registry's list.
        stored = await self._journal.accept(new := self._new(job_id, issue_order), only_newest=True)
        if stored is None:
            log.info("issue_order_left_to_the_list", **_about(job_id))
            return
        if stored is new:
            log.info("issue_order_accepted", **_about(job_id), ca=new.ca, problem=new.problem)
        else:
            reopening = reopen(stored, issue_order, now=self._clock())
            log.info("issue_order_repeated", **_about(job_id), reason=reopening.reason)
            await self._store(stored, reopening)
        self._wake()

    def _new(self, job_id: JobId, issue_order: IssueOrder) -> Job:
        return self._judged(Job(job_id, issue_order, self._clock(), traceparent=current_traceparent()))

    def _judged(self, job: Job) -> Job:
        """A job that has its CA, or that was given up because nothing can be issued for its issue order."""
        objection = objection_to(job.issue_order)
        if objection is not None:
            return decide_retry(job, objection, now=self._clock()).job
        return self._with_ca(job)

    def _with_ca(self, job: Job) -> Job:
        """A job whose CA is chosen; that it is started is reported."""
        try:
            choice = choose_ca(job.issue_order, policy=self._policy, known=self._cas)
        except (UnknownCaError, NoFittingCaError, UnsupportedIssueOrderError):
            # Not a fault of the message: the worker reports it, and a new configuration may know the CA.
            return job
        log.info("ca_chosen", **_about(job.id), ca=choice.ca, reason=choice.reason)
        return replace(job, ca=choice.ca, report_at=self._clock())

    async def _store(self, before: Job, reopening: Reopening) -> bool:
        """Store what follows; False where somebody works on the job meanwhile, and it goes on as it was."""
        after = reopening.job
        if after is before:
            return True
        match reopening.reason:
            case ReopeningReason.ISSUED_ANEW:
                after = self._judged(after)
            case ReopeningReason.TRIED_NOW if after.ca is None:
                after = self._with_ca(after)
        settling = self._budgets.settling(before, after)
        return await self._journal.nudge(before, after, now=self._clock(), within=settling)


def _about(job_id: JobId) -> dict[str, str | int]:
    return {
        "certificate_id": job_id.certificate_id,
        "revision": job_id.revision,
        "variant": job_id.variant,
    }

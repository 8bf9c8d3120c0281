"""Takes issue orders off the bus. A job is stored before anything is said or done about it."""

from collections.abc import Callable, Collection
from dataclasses import replace

import structlog

from certcore.clock import Clock
from certcore.cloudevents import Envelope
from certcore.events import CertificateApproved, CertificateRenewalDue, CsrAccepted, IssueOrder
from certkit.telemetry import current_traceparent
from issuer.adapters.journal import Journal
from issuer.adapters.status_stream import StatusStream
from issuer.domain.admission import identify, objection_to
from issuer.domain.choice import CaPolicy, choose_ca
from issuer.domain.errors import UnknownCaError, UnsupportedIssueOrderError
from issuer.domain.job import Job
from issuer.domain.reopening import ReopeningReason, reopen
from issuer.domain.retry import decide_retry

__all__ = ["Handlers"]

log = structlog.get_logger()


class Handlers:
    """They raise UnidentifiedIssueOrderError where an issue order is to be set aside."""

    def __init__(
        self,
        *,
        journal: Journal,
        reports: StatusStream,
        policy: CaPolicy,
        cas: Collection[str],
        wake: Callable[[], None],
        clock: Clock,
    ) -> None:
        self._journal = journal
        self._reports = reports
        self._policy = policy
        self._cas = cas
        self._wake = wake
        self._clock = clock

    async def approved(self, event: CertificateApproved, _: Envelope) -> None:
        await self._take(event.order)

    async def renewal_due(self, event: CertificateRenewalDue, _: Envelope) -> None:
        await self._take(event.order)

    async def csr_accepted(self, event: CsrAccepted, _: Envelope) -> None:
        await self._take(event.order)

    async def _take(self, issue_order: IssueOrder) -> None:
        now = self._clock()
        new = self._judged(Job(identify(issue_order), issue_order, now, traceparent=current_traceparent()))
        stored = await self._journal.accept(new)
        if stored is new:
            log.info("issue_order_accepted", **_about(new), ca=new.ca, problem=new.problem)
        else:
            stored = await self._reopen(stored, issue_order)
        if stored.ca is not None:
            await self._reports.started(stored.id, ca=stored.ca)
        self._wake()

    def _judged(self, job: Job) -> Job:
        """A job that has its CA, or that was given up because nothing can be issued for its issue order."""
        objection = objection_to(job.issue_order)
        if objection is not None:
            return decide_retry(job, objection, now=self._clock()).job
        return replace(job, ca=self._ca_for(job))

    def _ca_for(self, job: Job) -> str | None:
        wanted = job.issue_order
        try:
            choice = choose_ca(
                allowed=wanted.cas,
                named=wanted.issuer,
                exposure=wanted.exposure,
                policy=self._policy,
                known=self._cas,
            )
        except (UnknownCaError, UnsupportedIssueOrderError):
            # Not a fault of the message: the worker reports it, and a new configuration may know the CA.
            return None
        log.info("ca_chosen", **_about(job), ca=choice.ca, reason=choice.reason)
        return choice.ca

    async def _reopen(self, stored: Job, repeated: IssueOrder) -> Job:
        now = self._clock()
        reopening = reopen(stored, repeated, now=now)
        log.info("issue_order_repeated", **_about(stored), reason=reopening.reason)
        if reopening.job is stored:
            return stored
        job = reopening.job
        if reopening.reason is ReopeningReason.TRIED_NOW and job.ca is None:
            job = replace(job, ca=self._ca_for(job))
        # Where somebody works on it meanwhile, it goes on as it was.
        return job if await self._journal.nudge(stored, job, now=now) else stored


def _about(job: Job) -> dict[str, str | int]:
    return {
        "certificate_id": job.id.certificate_id,
        "revision": job.id.revision,
        "variant": job.id.variant,
    }

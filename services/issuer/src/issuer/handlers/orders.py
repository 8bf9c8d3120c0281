"""Takes orders off the bus. A job is stored before anything is said or done about it."""

from collections.abc import Callable, Collection

import structlog

from certcore.clock import Clock
from certcore.cloudevents import Envelope
from certcore.events import CertificateApproved, CertificateRenewalDue, IssueOrder
from certkit.telemetry import current_traceparent
from issuer.adapters.journal import Journal
from issuer.adapters.status_stream import StatusStream
from issuer.domain.choice import CaPolicy, choose_ca
from issuer.domain.errors import UnknownCaError
from issuer.domain.job import Job, JobId
from issuer.domain.reopening import reopen

__all__ = ["Handlers"]

log = structlog.get_logger()


class Handlers:
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

    async def _take(self, order: IssueOrder) -> None:
        ca = self._ca_for(order)
        new = Job(
            id=JobId(order.certificate_id, order.revision),
            order=order,
            accepted_at=self._clock(),
            traceparent=current_traceparent(),
            ca=ca,
        )
        stored = await self._journal.accept(new)
        if stored is not new:
            await self._reopen(stored)
        if ca is not None:
            await self._reports.started(new.id, ca=ca)
        self._wake()

    def _ca_for(self, order: IssueOrder) -> str | None:
        try:
            choice = choose_ca(named=order.issuer, exposure=order.exposure, policy=self._policy, known=self._cas)
        except UnknownCaError:
            # Not a fault of the message: the worker reports it, and a new configuration may know the CA.
            return None
        log.info(
            "order_accepted",
            certificate_id=order.certificate_id,
            revision=order.revision,
            ca=choice.ca,
            reason=choice.reason,
        )
        return choice.ca

    async def _reopen(self, stored: Job) -> None:
        now = self._clock()
        reopening = reopen(stored, now=now)
        if reopening.job is not stored:
            await self._journal.nudge(stored, reopening.job, now=now)
        log.info(
            "order_repeated",
            certificate_id=stored.id.certificate_id,
            revision=stored.id.revision,
            reason=reopening.reason,
        )

"""The challenge records of a job: chosen, shown until everybody sees them, and removed."""

from collections.abc import Sequence
from dataclasses import replace

import structlog

from issuer.adapters.journal import Journal
from issuer.domain.ca_order import AuthorizationStatus, AuthorizationView, ChallengeKind
from issuer.domain.challenge import ChallengeRecord
from issuer.domain.errors import NoChallengeError
from issuer.domain.failure import FailureReason, JobFailedError, JobWaitsError, reason_of_invalid
from issuer.domain.job import Job
from issuer.handlers.progress import Progress
from issuer.handlers.solvers import Solvers

__all__ = ["Challenges"]

log = structlog.get_logger()


class Challenges:
    def __init__(self, *, journal: Journal, solvers: Solvers) -> None:
        self._journal = journal
        self._solvers = solvers

    def chosen(
        self, job: Job, authorization: AuthorizationView, *, preference: Sequence[ChallengeKind]
    ) -> ChallengeRecord:
        """How a name is to be proven.

        Raises:
            JobFailedError: it can't be.
        """
        if authorization.status is not AuthorizationStatus.PENDING:
            detail = f"{authorization.identifier} is {authorization.status}: {authorization.problem or 'no reason'}"
            raise JobFailedError(reason_of_invalid(authorization.problem_types), detail, order_over=True)
        try:
            choice = self._solvers.choose(authorization, preference=preference)
        except NoChallengeError as error:
            raise JobFailedError(FailureReason.NO_CHALLENGE, str(error)) from error
        offer = choice.offer
        log.info(
            "challenge_chosen",
            identifier=authorization.identifier,
            kind=offer.kind,
            solver=choice.solver,
            reason=choice.reason,
        )
        return ChallengeRecord(
            job=job.id,
            kind=offer.kind,
            url=offer.url,
            identifier=authorization.identifier,
            record_name=offer.record_name,
            record_value=offer.record_value,
            solver=choice.solver,
        )

    async def show(self, at: Progress, records: Sequence[ChallengeRecord]) -> None:
        """Show them where they aren't shown, and return when everybody sees them whom the CA may ask.

        Raises:
            JobWaitsError: somebody doesn't yet. What is shown then is stored, and not shown again at the next look.
            SolverError: a place can't be reached.
        """
        await self._solvers.present([record for record in records if not record.shown])
        look = await self._solvers.propagated(records)
        if not look.seen:
            if not all(record.shown for record in records):
                shown = [replace(record, shown=True) for record in records]
                at.job = await self._journal.advance(at.job, at.job, records=shown)
            raise JobWaitsError(FailureReason.NOT_PROPAGATED, look.detail, wait=look.look_again)

    async def tidy(self, records: Sequence[ChallengeRecord]) -> None:
        """Remove records that a crash, or a place that was away, left behind."""
        await self._journal.forget_records(await self.removed(records))

    async def removed(self, records: Sequence[ChallengeRecord]) -> Sequence[ChallengeRecord]:
        """Those of the records that are shown no more; a place that is away keeps its records for the next round."""
        return await self._solvers.clean_up(records)

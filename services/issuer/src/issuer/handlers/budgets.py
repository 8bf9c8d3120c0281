"""Keeps a job's orders inside its CA's limits: what is taken is stored before the order is sent."""

from collections.abc import Iterable
from typing import Final

import structlog

from certcore.clock import Clock
from issuer.adapters.journal import Journal
from issuer.adapters.journal_database import NOBODY_WAITS_S, JournalDatabase
from issuer.adapters.ledger import Ledger
from issuer.adapters.window_book import WindowBook
from issuer.domain.budget_ask import AskedCa, NewOrder
from issuer.domain.budget_decision import NotBefore
from issuer.domain.budget_refusal import read_refusal
from issuer.domain.bulkhead import pause_after
from issuer.domain.errors import AcmeProblemError
from issuer.domain.failure import FailureReason, JobFailedError, JobWaitsError
from issuer.domain.job import Job, JobId
from issuer.domain.replacing import replaced_by

__all__ = ["Budgets"]

log = structlog.get_logger()

_NOT_PROVEN: Final = frozenset(
    {FailureReason.NAME_NOT_PROVEN, FailureReason.NAME_UNREACHABLE, FailureReason.ORDER_INVALID}
)


class Budgets:
    """`cas` are those whose limits are known; the orders of the others are not counted. Each call may raise
    DatabaseBusyError.
    """

    def __init__(
        self,
        *,
        database: JournalDatabase,
        journal: Journal,
        windows: WindowBook,
        cas: Iterable[AskedCa],
        clock: Clock,
    ) -> None:
        self._database = database
        self._journal = journal
        self._windows = windows
        self._ledger = Ledger(cas)
        self._clock = clock

    async def spend(self, job: Job) -> None:
        """Before a newOrder: one is taken of each limit that counts it.

        Raises:
            JobWaitsError: a limit lets it go later only.
        """
        if job.ca not in self._ledger.cas:
            return
        ask, now = await self._ask(job), self._clock()
        answer = await self._database.write(lambda connection: self._ledger.spend(connection, ask, now))
        if isinstance(answer, NotBefore):
            told = f"{job.ca} lets it go from {answer.at:%Y-%m-%dT%H:%M:%SZ} on: {answer.reason}"
            raise JobWaitsError(FailureReason.CA_LIMITS, told, wait=pause_after(answer.at, job, now=now))

    async def issued(self, job: Job) -> None:
        """The CA has signed."""
        if job.ca in self._ledger.cas:
            ask, now = await self._ask(job), self._clock()
            await self._database.write(
                lambda connection: self._ledger.issued(connection, ask, now), patience_s=NOBODY_WAITS_S
            )

    async def dropped(self, job: Job) -> None:
        """The job gets nothing of this CA any more."""
        if job.ca in self._ledger.cas:
            ask, now = await self._ask(job), self._clock()
            await self._database.write(lambda connection: self._ledger.dropped(connection, ask, now))

    async def failed(self, job: Job, failure: JobFailedError) -> None:
        """Count what the CA counts. Which of an order's names it could not validate isn't known: all count."""
        ca = job.ca or ""
        if ca not in self._ledger.cas or not failure.order_over or failure.reason not in _NOT_PROVEN:
            return
        names, now = job.issue_order.dns_names, self._clock()
        await self._database.write(lambda connection: self._ledger.failed(connection, ca, names, now))

    async def limited(self, job: Job, problem: AcmeProblemError) -> None:
        """The CA refused for a limit: hold back what it named, over restarts and for every host."""
        if job.ca not in self._ledger.cas:
            return
        ask, now = await self._ask(job), self._clock()
        lesson = read_refusal(problem.detail, retry_after=problem.retry_after, now=now)
        held = await self._database.write(lambda connection: self._ledger.taught(connection, ask, lesson, now))
        log.warning("budget_taught", ca=job.ca, held=list(map(str, held)), until=lesson.retry_at.isoformat())

    async def prune(self) -> None:
        now = self._clock()
        await self._database.write(lambda connection: self._ledger.prune(connection, now), patience_s=NOBODY_WAITS_S)

    async def _ask(self, job: Job) -> NewOrder:
        """Every write of the job makes another try of it: what the CA counts twice is counted twice here."""
        wanted = job.issue_order
        before = JobId(job.id.certificate_id, job.id.revision - 1, job.id.variant)
        known = (await self._journal.found([before])).get(before)
        again = known is not None and known.ca == job.ca and set(known.issue_order.dns_names) == set(wanted.dns_names)
        ca, replaced = job.ca or "", replaced_by(job).ari_id
        window = replaced and await self._windows.window_of(job.id.certificate_id, ca=ca, ari_id=replaced)
        return NewOrder(
            ca=ca,
            job=str(job.id),
            attempt=str(job.version),
            dns_names=wanted.dns_names,
            urgent=job.urgent,
            window=window or None,
            set_issued_at=known.stored_at if known is not None and again else None,
        )

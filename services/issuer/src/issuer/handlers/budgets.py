"""Keeps a job's orders inside its CA's limits: what is taken is stored before the order is sent, and what a refusal
teaches before the next one is.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

import structlog

from certcore.ca_limits.asked import AskedCa, BucketKey, NewOrder
from certcore.clock import Clock
from certkit.readiness import Finding
from issuer.adapters.journal import Journal
from issuer.adapters.journal_database import NOBODY_WAITS_S, JournalDatabase, Within
from issuer.adapters.ledger import Ledger
from issuer.adapters.window_book import WindowBook
from issuer.domain.budget_decision import Granted, NotBefore
from issuer.domain.budget_refusal import read_refusal
from issuer.domain.budget_settling import Settling, settling
from issuer.domain.bulkhead import pause_after
from issuer.domain.errors import AcmeProblemError, CaUnreachableError
from issuer.domain.failure import FailureReason, JobFailedError, JobWaitsError, reason_of_problem
from issuer.domain.job import Job, JobId
from issuer.domain.replacing import replaced_by

__all__ = ["Budgets"]

log = structlog.get_logger()

_NOT_PROVEN: Final = frozenset(
    {FailureReason.NAME_NOT_PROVEN, FailureReason.NAME_UNREACHABLE, FailureReason.ORDER_INVALID}
)


@dataclass
class _Learning:
    """Of one CA. What refusals teach may be on its way into the ledger: who asked it meanwhile asks again."""

    begun: int = 0
    storing: asyncio.Lock = field(default_factory=asyncio.Lock)


class Budgets:
    """`cas` are all that are asked by ACME. What is counted by none of their limits is only held back by what their
    refusals taught. Each call may raise DatabaseBusyError.
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
        self._learning = {ca: _Learning() for ca in self._ledger.cas}
        self._lessons: Mapping[str, Mapping[BucketKey, datetime]] = {}

    @asynccontextmanager
    async def new_order(self, job: Job) -> AsyncIterator[None]:
        """Around a newOrder: one is taken of each limit that counts it, a refusal is learned from, and what was never
        sent isn't counted.

        Raises:
            JobWaitsError: a limit lets it go later only.
        """
        learning, begun = self._learning[job.ca or ""], -1
        while begun != learning.begun:
            begun = learning.begun
            async with learning.storing:
                pass
            await self._spend(job)
        sent_at = self._clock()
        try:
            yield
        except AcmeProblemError as problem:
            await self.limited(job, problem, sent_at=sent_at)
            raise
        except CaUnreachableError as error:
            if error.unsent and self._ledger.counts(job.ca):
                ask, now = _plain(job), self._clock()
                await self._database.write(lambda connection: self._ledger.unsent(connection, ask, now))
            raise

    async def _spend(self, job: Job) -> None:
        ask, now = await self._ask(job), self._clock()
        answer: Granted | NotBefore | None
        if self._ledger.counts(job.ca):
            answer = await self._database.write(lambda connection: self._ledger.spend(connection, ask, now))
        else:
            answer = await self._database.read(lambda connection: self._ledger.held_back(connection, ask, now))
        if isinstance(answer, NotBefore):
            told = f"{job.ca} lets it go from {answer.at:%Y-%m-%dT%H:%M:%SZ} on: {answer.reason}"
            raise JobWaitsError(FailureReason.CA_LIMITS, told, wait=pause_after(answer.at, job, now=now))

    def settling(self, before: Job, after: Job) -> Within | None:
        """A work for the transaction that stores the step: so what was taken is settled once, whatever crashes. None
        where nothing is to be settled.
        """
        if not self._ledger.counts(before.ca):
            return None
        ask, now = _plain(before), self._clock()
        match settling(before, after):
            case Settling.SIGNED:
                return lambda connection: self._ledger.issued(connection, ask, now)
            case Settling.GIVEN_BACK:
                return lambda connection: self._ledger.dropped(connection, ask, now)
        return None

    async def failed(self, job: Job, failure: JobFailedError) -> None:
        """Count what the CA counts. Which of an order's names it could not validate isn't known: all count."""
        ca = job.ca or ""
        if not self._ledger.counts(ca) or not failure.order_over or failure.reason not in _NOT_PROVEN:
            return
        names, now = job.issue_order.dns_names, self._clock()
        await self._database.write(lambda connection: self._ledger.failed(connection, ca, names, now))

    async def limited(self, job: Job, problem: AcmeProblemError, *, sent_at: datetime) -> None:
        """Take note of a problem, where it is a rate limit: what it names is held back, over restarts and for every
        host.
        """
        if job.ca not in self._ledger.cas or reason_of_problem(problem) is not FailureReason.RATE_LIMITED:
            return
        learning, now = self._learning[job.ca or ""], self._clock()
        learning.begun += 1
        async with learning.storing:
            ask, lesson = await self._ask(job), read_refusal(problem, now=now)
            held = await self._database.write(
                lambda connection: self._ledger.taught(connection, ask, lesson, now, sent_at)
            )
        until = {str(key): at.isoformat() for key, at in held.items()}
        log.warning("ca_limits", ca=job.ca, held=until, detail=problem.detail)

    async def look(self) -> None:
        """One round, for `findings`."""
        now = self._clock()
        self._lessons = await self._database.read(lambda connection: self._ledger.lessons(connection, now))

    def findings(self) -> list[Finding]:
        """For people: what the CAs refuse doesn't keep the issuer from its work."""
        now = self._clock()
        return [
            Finding(check=f"ca {ca}", detail=f"takes none of {key} until {at:%Y-%m-%dT%H:%M:%SZ}: it refused one")
            for ca, held in self._lessons.items()
            for key, at in held.items()
            if at > now
        ]

    async def prune(self) -> None:
        now = self._clock()
        await self._database.write(lambda connection: self._ledger.prune(connection, now), patience_s=NOBODY_WAITS_S)

    async def _ask(self, job: Job) -> NewOrder:
        """Every write of the job makes another try of it: what the CA counts twice is counted twice here."""
        wanted, ca, ask = job.issue_order, job.ca or "", _plain(job)
        if not self._ledger.counts(ca):
            # Nobody is exempt.
            return ask
        before = JobId(job.id.certificate_id, job.id.revision - 1, job.id.variant)
        known = (await self._journal.found([before])).get(before)
        again = known is not None and known.ca == ca and set(known.issue_order.dns_names) == set(wanted.dns_names)
        replaced = replaced_by(job).ari_id
        window = replaced and await self._windows.window_of(job.id.certificate_id, ca=ca, ari_id=replaced)
        issued_at = known.stored_at if known is not None and again else None
        return replace(ask, window=window or None, set_issued_at=issued_at)


def _plain(job: Job) -> NewOrder:
    """Without what may exempt it."""
    names = job.issue_order.dns_names
    return NewOrder(job.ca or "", str(job.id), str(job.version), names, urgent=job.urgent)

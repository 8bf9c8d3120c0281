"""Takes jobs that are due and works them off, several at once, until it is stopped.

Waiting costs no thread: a job that has to wait goes back to the journal with the time when it is due again.
"""

import asyncio
import contextlib
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Final

import structlog
from opentelemetry.trace import Tracer

from certcore.clock import Clock
from certkit import attributes
from certkit.background import end_tasks
from certkit.database import DatabaseBusyError
from certkit.telemetry import parent_of
from issuer.adapters.journal import Journal
from issuer.domain.bulkhead import ca_needed, line_of
from issuer.domain.errors import JobTakenError
from issuer.domain.failure import FailureReason, JobFailedError, JobWaitsError
from issuer.domain.job import Job, JobId, Step
from issuer.domain.turns import Line, Turns
from issuer.handlers.bulkheads import Bulkheads
from issuer.handlers.challenges import Challenges
from issuer.handlers.issuance import Issuance
from issuer.handlers.metrics import Metrics
from issuer.handlers.progress import Progress

__all__ = ["UPKEEP_S", "Worker"]

log = structlog.get_logger()

_LEASE: Final = timedelta(seconds=60)
UPKEEP_S: Final = 20.0
_LONGEST_SLEEP_S: Final = 5.0
_LOOKS_APART_S: Final = 0.05
"""In a burst, one look begins all that came and ended since the last."""
_PAUSE_AFTER_FAULT_S: Final = 2.0
_DRAIN_S: Final = 5.0


@dataclass(frozen=True)
class _Run:
    task: asyncio.Task[None]
    line: Line


class Worker:
    """`turns` has the slots of each CA, in which owners take turns."""

    def __init__(
        self,
        *,
        journal: Journal,
        issuance: Issuance,
        challenges: Challenges,
        bulkheads: Bulkheads,
        turns: Turns,
        metrics: Metrics,
        tracer: Tracer,
        clock: Clock,
    ) -> None:
        self._journal = journal
        self._issuance = issuance
        self._challenges = challenges
        self._bulkheads = bulkheads
        self._metrics = metrics
        self._tracer = tracer
        self._clock = clock
        self._turns = turns
        self._running: dict[JobId, _Run] = {}
        self._broken_off: set[JobId] = set()
        self._woken = asyncio.Event()
        self._stopping = False

    def wake(self) -> None:
        """Look for due jobs now."""
        self._woken.set()

    async def stop(self) -> None:
        """Take nothing new: `take_jobs` ends soon."""
        self._stopping = True
        self.wake()

    async def drain(self) -> None:
        """When `take_jobs` has ended: let steps end that end soon, and give the leases back."""
        if self._running:
            _, late = await asyncio.wait([run.task for run in self._running.values()], timeout=_DRAIN_S)
            await end_tasks(late)
        try:
            await self._journal.release_leases()
        except DatabaseBusyError as error:
            # The next start of this worker gives them back.
            log.warning("leases_left", error=str(error))

    async def take_jobs(self) -> None:
        """Work until `stop`."""
        while not self._stopping:
            self._woken.clear()
            try:
                sleep_s = await self._take_due()
            except DatabaseBusyError as error:
                # Nothing is lost while nothing is begun.
                log.warning("journal_failed", error=str(error))
                sleep_s = _PAUSE_AFTER_FAULT_S
            except Exception:  # whatever it was, what is due stays in the journal
                log.exception("journal_failed")
                sleep_s = _PAUSE_AFTER_FAULT_S
            again = asyncio.get_running_loop().time() + _LOOKS_APART_S
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(sleep_s):
                    await self._woken.wait()
            await asyncio.sleep(again - asyncio.get_running_loop().time())

    async def _take_due(self) -> float:
        """Begin what is due, and return for how many seconds nothing else will be."""
        for job_id in tuple(self._broken_off):
            await self._journal.release(job_id)
            self._broken_off.discard(job_id)
        now = self._clock()
        turns = self._turns.within(self._bulkheads.slots(now))
        if turns.free <= 0:
            return _LONGEST_SLEEP_S
        jobs, later = await self._journal.claim(
            now=now,
            until=now + _LEASE,
            turns=turns,
            running=frozenset(self._running),
            skip_cas=turns.full(),
        )
        for job in jobs:
            self._begin(job)
        wait = (later - now).total_seconds() if later is not None else _LONGEST_SLEEP_S
        return min(max(wait, 0.0), _LONGEST_SLEEP_S)

    def _begin(self, job: Job) -> None:
        line = line_of(job)
        task = asyncio.create_task(self._work(job, slots=self._turns.slots_for(line.ca)))
        self._running[job.id] = _Run(task, line)
        self._turns.begun(line)
        task.add_done_callback(partial(self._ended, job.id))

    def _ended(self, job_id: JobId, _: asyncio.Task[None]) -> None:
        run = self._running.pop(job_id)
        self._turns.ended(run.line)
        self.wake()

    async def keep_up(self) -> None:
        """Keep the leases of long steps, and remove challenge records that a crash left behind. Call it each
        `UPKEEP_S` seconds.
        """
        await self._journal.extend_leases(frozenset(self._running), until=self._clock() + _LEASE)
        leftover = await self._journal.leftover_records(running=frozenset(self._running))
        await self._challenges.tidy(leftover)

    async def _work(self, job: Job, *, slots: str) -> None:
        with (
            self._tracer.start_as_current_span(
                "acme.order",
                context=parent_of(job.traceparent),
                attributes={
                    attributes.CERTIFICATE: job.id.certificate_id,
                    attributes.REVISION: job.id.revision,
                    attributes.VARIANT: job.id.variant,
                    attributes.CA: job.ca or "",
                },
            ),
            structlog.contextvars.bound_contextvars(
                certificate_id=job.id.certificate_id, revision=job.id.revision, variant=job.id.variant
            ),
        ):
            try:
                await self._run(Progress(job), slots=slots)
            except JobTakenError as error:
                log.info("job_left", reason=str(error))
                self._broken_off.add(job.id)
            except DatabaseBusyError as error:
                log.warning("job_broke_off", error=str(error))
                # Its slot stays taken for as long: a job that always breaks off here would be begun without a pause.
                await asyncio.sleep(_PAUSE_AFTER_FAULT_S)
                self._broken_off.add(job.id)
            except Exception:  # one job's fault must not stop the others
                # It is taken up again when its lease has run out.
                log.exception("job_broke_off")

    async def _run(self, at: Progress, *, slots: str) -> None:
        """Work on a job in a slot of that CA, or in one of those that are for no CA."""
        while not self._stopping:
            step = self._issuance.next_step(at.job)
            if step in {Step.WAIT, Step.REST}:
                return
            if step is not Step.REPORT and self._turns.slots_for(ca_needed(at.job)) not in {"", slots}:
                # It goes on in a slot of its CA.
                self._broken_off.add(at.job.id)
                return
            with self._tracer.start_as_current_span(f"acme.{step}", attributes={attributes.STEP: step}):
                before = at.job
                try:
                    at = await self._issuance.take(step, at)
                except (JobTakenError, DatabaseBusyError):
                    raise
                except JobFailedError as failure:
                    at = await self._fail(at, failure)
                except JobWaitsError as waits:
                    at = await self._wait(at.job, waits)
                except Exception as error:  # whatever it was, people are told and it is tried again
                    log.exception("step_broke_off", step=step)
                    at = await self._fail(at, JobFailedError(FailureReason.UNFORESEEN, type(error).__name__))
                else:
                    self._stepped(before, at.job)

    def _stepped(self, before: Job, after: Job) -> None:
        if after.stored_at == before.stored_at:
            return
        if before.stored_at is None:
            self._metrics.handed_over(after)
            log.info("bundle_stored", ca=after.ca, validation_method=after.validation_method)
        else:
            log.info("bundle_stored_again", ca=after.ca)

    async def _wait(self, job: Job, waits: JobWaitsError) -> Progress:
        self._metrics.waits(job, waits.reason)
        log.info("job_waits", state=job.state, ca=job.ca, reason=waits.reason, detail=waits.detail)
        return Progress(await self._issuance.wait(job, waits))

    async def _fail(self, at: Progress, failure: JobFailedError) -> Progress:
        job, verdict = at.job, await self._issuance.fail(at, failure)
        self._metrics.failed(job, verdict.reason, abandons=verdict.abandons)
        log.warning(
            "order_abandoned" if verdict.abandons else "job_failed",
            state=job.state,
            ca=job.ca,
            order=job.ca_order.url if job.ca_order else None,
            reason=verdict.reason,
            detail=failure.detail,
            next_try=verdict.next_try.isoformat() if verdict.next_try else None,
            gave_up=verdict.job.given_up,
        )
        return Progress(verdict.job)

"""Takes jobs that are due and works them off, several at once, until it is stopped.

Waiting costs no thread: a job that has to wait goes back to the journal with the time when it is due again.
"""

import asyncio
import contextlib
from datetime import timedelta
from functools import partial
from typing import Final

import structlog
from opentelemetry.trace import Tracer

from certcore.clock import Clock
from certkit import attributes
from certkit.background import end_tasks
from certkit.telemetry import parent_of
from issuer.adapters.journal import Journal
from issuer.domain.errors import JobTakenError
from issuer.domain.failure import FailureReason, JobFailedError
from issuer.domain.job import Job, JobId, Step, next_step
from issuer.handlers.issuance import Issuance, Progress
from issuer.handlers.metrics import Metrics

__all__ = ["UPKEEP_S", "Worker"]

log = structlog.get_logger()

_LEASE: Final = timedelta(seconds=60)
UPKEEP_S: Final = 20.0
_LONGEST_SLEEP_S: Final = 5.0
_PAUSE_AFTER_FAULT_S: Final = 2.0
_DRAIN_S: Final = 5.0


class Worker:
    """`in_flight` is how many jobs it has under way at most."""

    def __init__(
        self,
        *,
        journal: Journal,
        issuance: Issuance,
        metrics: Metrics,
        tracer: Tracer,
        clock: Clock,
        in_flight: int,
    ) -> None:
        self._journal = journal
        self._issuance = issuance
        self._metrics = metrics
        self._tracer = tracer
        self._clock = clock
        self._in_flight = in_flight
        self._running: dict[JobId, asyncio.Task[None]] = {}
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
            _, late = await asyncio.wait(self._running.values(), timeout=_DRAIN_S)
            await end_tasks(late)
        await self._journal.release_leases()

    async def take_jobs(self) -> None:
        """Work until `stop`."""
        while not self._stopping:
            self._woken.clear()
            try:
                sleep_s = await self._take_due()
            except Exception:  # the journal is away: nothing is lost while nothing is begun
                log.exception("journal_failed")
                sleep_s = _PAUSE_AFTER_FAULT_S
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(sleep_s):
                    await self._woken.wait()

    async def _take_due(self) -> float:
        """Begin what is due, and return for how many seconds nothing else will be."""
        free = self._in_flight - len(self._running)
        if free <= 0:
            return _LONGEST_SLEEP_S
        now = self._clock()
        jobs, later = await self._journal.claim(
            now=now, until=now + _LEASE, limit=free, running=frozenset(self._running)
        )
        for job in jobs:
            task = asyncio.create_task(self._work(job))
            self._running[job.id] = task
            task.add_done_callback(partial(self._ended, job.id))
        wait = (later - now).total_seconds() if later is not None else _LONGEST_SLEEP_S
        return min(max(wait, 0.0), _LONGEST_SLEEP_S)

    def _ended(self, job_id: JobId, _: asyncio.Task[None]) -> None:
        del self._running[job_id]
        self.wake()

    async def keep_up(self) -> None:
        """Keep the leases of long steps, and remove challenge records that a crash left behind. Call it each
        `UPKEEP_S` seconds.
        """
        await self._journal.extend_leases(frozenset(self._running), until=self._clock() + _LEASE)
        leftover = await self._journal.leftover_records(running=frozenset(self._running))
        await self._issuance.tidy(leftover)

    async def _work(self, job: Job) -> None:
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
                await self._run(Progress(job))
            except JobTakenError as error:
                log.info("job_left", reason=str(error))
                await self._journal.release(job.id)
            except Exception:  # one job's fault must not stop the others
                # It is taken up again when its lease has run out.
                log.exception("job_broke_off")

    async def _run(self, at: Progress) -> None:
        while not self._stopping:
            step = next_step(at.job, now=self._clock())
            if step in {Step.WAIT, Step.REST}:
                return
            with self._tracer.start_as_current_span(f"acme.{step}", attributes={attributes.STEP: step}):
                try:
                    at = await self._issuance.take(step, at)
                except JobTakenError:
                    raise
                except JobFailedError as failure:
                    at = await self._fail(at.job, failure)
                except Exception as error:  # whatever it was, people are told and it is tried again
                    log.exception("step_broke_off", step=step)
                    at = await self._fail(at.job, JobFailedError(FailureReason.UNFORESEEN, type(error).__name__))
                else:
                    self._stepped(at.job, step)

    def _stepped(self, job: Job, step: Step) -> None:
        self._metrics.stepped(job, step)
        if step is Step.STORE_BUNDLE:
            log.info("bundle_stored", ca=job.ca, validation_method=job.validation_method)

    async def _fail(self, job: Job, failure: JobFailedError) -> Progress:
        verdict = await self._issuance.fail(job, failure)
        self._metrics.failed(job, verdict.reason, abandons=verdict.abandons)
        log.warning(
            "order_abandoned" if verdict.abandons else "job_failed",
            state=job.state,
            ca=job.ca,
            order=job.ca_order.url if job.ca_order else None,
            reason=verdict.reason,
            detail=failure.detail,
            next_try=verdict.next_try.isoformat() if verdict.next_try else None,
        )
        return Progress(verdict.job)

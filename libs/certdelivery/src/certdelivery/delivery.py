"""One job: inspect, fetch, check, deliver, verify, report."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import timedelta
from typing import Final

import structlog
from opentelemetry import context
from opentelemetry.trace import Span, Status, StatusCode, Tracer

from certcore.backoff import delay_after
from certcore.bundles import Bundle
from certcore.clock import Clock
from certcore.errors import TransientError
from certcore.events import DeliveryReason
from certdelivery.announcements import announcement
from certdelivery.bundles import BundleInvalidError, Bundles, BundleUnavailableError
from certdelivery.lanes import Again, Try
from certdelivery.leaf import objection
from certdelivery.metrics import Metrics
from certdelivery.model import Destination, Finding, Held, Wanted, Withdrawal
from certdelivery.reach import LONGEST_PAUSE
from certdelivery.records import Job, Record
from certdelivery.reports import Reports
from certdelivery.rollup import AtDestination, Holds, already_reported, rollup
from certdelivery.target import TargetPort
from certkit import attributes
from certkit.failure_policy import describe

__all__ = ["Delivery"]

log = structlog.get_logger()

_LONGEST_WAIT: Final = timedelta(minutes=1)
"""So a namespace that was created meanwhile gets its certificate within a minute."""

_AFTER_A_ROLLBACK: Final = timedelta(minutes=5)
"""Each try shows clients a certificate that can't be proven."""

_BETWEEN_LOOKS: Final = timedelta(minutes=1)
_SHORTEST_LOOK: Final = timedelta(seconds=1)


class Delivery:
    """Makes one destination hold what is wanted of one target, and reports the summary of all its destinations."""

    def __init__(
        self,
        *,
        place: str,
        ports: Mapping[Destination, TargetPort],
        bundles: Bundles,
        reports: Reports,
        tracer: Tracer,
        metrics: Metrics,
        clock: Clock,
        jitter: Callable[[], float],
    ) -> None:
        self._place = place
        self._ports = ports
        self._bundles = bundles
        self._reports = reports
        self._tracer = tracer
        self._metrics = metrics
        self._clock = clock
        self._jitter = jitter

    async def bring(self, job: Job, attempt: Try) -> Again | None:
        """The work of a lane, see `certdelivery.lanes.Work`."""
        token = context.attach(job.parent)
        try:
            match job.placement.asked:
                case Wanted() as wanted:
                    return await self._hold(job, wanted, attempt)
                case Withdrawal() as withdrawal:
                    with self._span("withdraw", job) as span:
                        done = await _driven(job, self._ports[job.destination].withdraw(withdrawal))
                        _mark(span, done)
                        return await self._settle(job, done, attempt)
                case None:
                    return None
        finally:
            context.detach(token)

    async def report(self, record: Record) -> None:
        """Report the summary of a target, where it isn't the one that was reported last.

        A report that isn't stored is repeated after the next inspection.
        """
        async with record.reporting:
            outcomes = dict(record.outcomes)
            summary = rollup(outcomes, record.placement.failures)
            if summary is None or already_reported(record.reported, summary):
                return
            event = announcement(record.placement, summary)
            if event is not None:
                try:
                    await self._reports.delivery(event)
                except TransientError as error:
                    log.warning("report_not_stored", certificate=record.placement.name, error=str(error))
                    return
            record.reported = summary
            if isinstance(summary, Holds):
                _repairs_reported(record, outcomes)

    async def _hold(self, job: Job, wanted: Wanted, attempt: Try) -> Again | None:
        port = self._ports[job.destination]
        found = await _driven(job, port.inspect(wanted))
        if found.writes:
            with self._span("deliver", job) as span:
                done, restored = await self._deliver(port, job, wanted, found)
                _mark(span, done)
                return await self._settle(job, done, attempt, restored)
        before = job.record.outcomes[job.destination]
        if found == Finding() and (before is None or not before.holds):
            # It was written before, by a process that ended before `verify` or for which `verify` failed.
            with self._span("verify", job) as span:
                found = await _driven(job, port.verify(wanted))
                _mark(span, found)
                return await self._settle(job, found, attempt)
        return await self._settle(job, found, attempt)

    async def _deliver(
        self, port: TargetPort, job: Job, wanted: Wanted, found: Finding
    ) -> tuple[Finding, Held | None]:
        bundle = await self._checked(port, job, wanted)
        if isinstance(bundle, Finding):
            return bundle, None
        done = await _driven(job, self._carried_out(port, job, wanted, found, bundle))
        if done.failures or done.progress or done.newer:
            return done, None
        verified = await _driven(job, port.verify(wanted))
        if not verified.failures or not done.writes:
            return replace(verified, writes=done.writes), None
        restored = await _rolled_back(port, job, wanted, verified) if port.capabilities.rolls_back else None
        return replace(verified, writes=done.writes), restored

    async def _carried_out(
        self, port: TargetPort, job: Job, wanted: Wanted, found: Finding, bundle: Bundle
    ) -> Finding:
        log.info(
            "delivery_begun",
            certificate=wanted.name,
            generation=wanted.generation,
            revision=wanted.revision,
            destination=str(job.destination),
            steps=port.plan(wanted, found),
        )
        return await port.deliver(wanted, bundle)

    async def _checked(self, port: TargetPort, job: Job, wanted: Wanted) -> Bundle | Finding:
        try:
            bundle = await self._bundles.open(wanted, job.placement.bundle_sha256)
        except BundleUnavailableError as error:
            return Finding.failed(DeliveryReason.BUNDLE_UNAVAILABLE, str(error))
        except BundleInvalidError as error:
            return Finding.failed(DeliveryReason.BUNDLE_INVALID, str(error))
        objected = objection(bundle, wanted, key_holder=port.capabilities.key_holder, now=self._clock())
        return bundle if objected is None else Finding.failed(DeliveryReason.BUNDLE_INVALID, objected)

    async def _settle(self, job: Job, finding: Finding, attempt: Try, restored: Held | None = None) -> Again | None:
        again = self._again(finding, attempt.failures, restored)
        before = job.record.outcomes[job.destination]
        job.record.outcomes[job.destination] = AtDestination(
            repaired=_repaired(finding, before),
            failures=finding.failures,
            next_try=self._clock() + again.after if again is not None and again.failed else None,
            progress=finding.progress,
            restored=restored,
            newer=finding.newer,
        )
        self._metrics.settled(job.destination.kind, finding)
        for failure in finding.failures:
            log.warning(
                "delivery_failed",
                certificate=job.placement.name,
                generation=job.placement.generation,
                revision=job.placement.revision,
                destination=str(job.destination),
                reason=str(failure.reason),
                detail=failure.detail,
            )
        # That the destination is out is reported by those that found it out, once, and not by each that looks again.
        if not (attempt.probe and again is not None and again.unreachable):
            await self.report(job.record)
        return again

    def _again(self, finding: Finding, failures: int, restored: Held | None) -> Again | None:
        if finding.failures:
            asked = [failure.retry_after for failure in finding.failures if failure.retry_after is not None]
            longest = max(asked, default=None)
            if restored is not None:
                return Again(_AFTER_A_ROLLBACK)
            unreachable = _unreachable(finding)
            most = LONGEST_PAUSE if unreachable else _LONGEST_WAIT
            after = delay_after(failures + 1, jitter=self._jitter(), longest=most, retry_after=longest)
            return Again(after, unreachable=unreachable)
        if finding.progress is not None:
            look = finding.progress.next_look
            after = look - self._clock() if look is not None else _BETWEEN_LOOKS
            return Again(max(after, _SHORTEST_LOOK), failed=False)
        return None

    def _span(self, name: str, job: Job) -> AbstractContextManager[Span]:
        placement = job.placement
        return self._tracer.start_as_current_span(
            name,
            attributes={
                attributes.PLACE: self._place,
                attributes.KIND: job.destination.kind,
                attributes.DESTINATION: job.destination.name,
                attributes.CERTIFICATE: placement.name,
                attributes.TARGET: placement.target,
                attributes.GENERATION: placement.generation,
                attributes.REVISION: placement.revision,
                attributes.VARIANT: placement.variant,
            },
        )


async def _driven(job: Job, call: Awaitable[Finding]) -> Finding:
    try:
        return await call
    except Exception as error:  # noqa: BLE001 # drivers come from other packages: a fault of one is reported as such
        # Without a traceback: its local variables may hold a key.
        log.error("driver_failed", destination=str(job.destination), error=describe(error))  # noqa: TRY400 # see above
        detail = f"the driver of kind {job.destination.kind} failed: {type(error).__name__}"
        return Finding.failed(DeliveryReason.REFUSED, detail)


async def _rolled_back(port: TargetPort, job: Job, wanted: Wanted, verified: Finding) -> Held | None:
    problem = verified.failures[0].detail
    facts = {"certificate": wanted.name, "revision": wanted.revision, "destination": str(job.destination)}
    try:
        held = await port.roll_back(wanted, problem)
    except Exception as error:  # noqa: BLE001 # as above: that the revision can't be proven is reported in any case
        log.error("not_rolled_back", **facts, error=describe(error))  # noqa: TRY400 # as above
        return None
    log.warning("rolled_back", **facts, held_revision=held.revision if held else None, problem=problem)
    return held


def _unreachable(finding: Finding) -> bool:
    """Whether nothing but the destination's absence is in the way. One that names a wait is there."""
    return all(failure.out and failure.retry_after is None for failure in finding.failures)


def _repairs_reported(record: Record, outcomes: Mapping[Destination, AtDestination | None]) -> None:
    record.reported = Holds()
    for destination, outcome in outcomes.items():
        # A repair that was made while the report was being published was not in it.
        if outcome is not None and record.outcomes[destination] is outcome:
            record.outcomes[destination] = replace(outcome, repaired=False)


def _repaired(finding: Finding, before: AtDestination | None) -> bool:
    untold = before is not None and before.repaired
    held = before is not None and before.holds
    return untold or finding.edited_only or (held and bool(finding.writes))


def _mark(span: Span, done: Finding) -> None:
    span.set_attribute(attributes.WRITES, len(done.writes))
    if done.failures:
        span.set_attribute(attributes.REASON, str(done.failures[0].reason))
        span.set_status(Status(StatusCode.ERROR, str(done.failures[0].reason)))

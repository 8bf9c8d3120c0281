"""One job: look, fetch, deliver, tell."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Final

import structlog
from opentelemetry import context
from opentelemetry.trace import Span, Status, StatusCode, Tracer

from certcore.backoff import delay_after
from certcore.clock import Clock
from certcore.errors import TransientError
from certcore.events import DeliveryFailed, DeliveryReason, DeliverySucceeded
from syncer.adapters.bundles import BundleInvalidError, Bundles, BundleUnavailableError
from syncer.adapters.reports import Reports
from syncer.domain.placement import Place
from syncer.domain.rollup import AtPlace, Fails, Holds, rollup
from syncer.domain.target import Failure, Finding, Target, Wanted
from syncer.handlers.metrics import Metrics
from syncer.handlers.rollout import Job, Rollout, TargetRecord

__all__ = ["Delivery"]

log = structlog.get_logger()

_LONGEST_WAIT: Final = timedelta(minutes=1)
"""A namespace that was made by hand meanwhile gets its certificate within a minute."""


class Delivery:
    """Makes one target at one place hold its revision, and tells the registry what the target's places say."""

    def __init__(
        self,
        *,
        site: str,
        targets: Mapping[Place, Target],
        bundles: Bundles,
        reports: Reports,
        tracer: Tracer,
        metrics: Metrics,
        clock: Clock,
        jitter: Callable[[], float],
    ) -> None:
        self._site = site
        self._targets = targets
        self._bundles = bundles
        self._reports = reports
        self._tracer = tracer
        self._metrics = metrics
        self._clock = clock
        self._jitter = jitter

    async def bring(self, job: Job, failures: int) -> timedelta | None:
        """The work of a lane, see `syncer.handlers.lanes.Work`."""
        token = context.attach(job.parent)
        try:
            wanted = Wanted.of(job.order, job.target, site=self._site)
            found = await self._targets[job.place].inspect(wanted)
            if not found.writes:
                return await self._settle(job, found, failures)
            with self._tracer.start_as_current_span("deliver", attributes=self._attributes(job)) as span:
                done = await self._deliver(job, wanted)
                _mark(span, done)
                return await self._settle(job, done, failures)
        finally:
            context.detach(token)

    async def tell(self, rollout: Rollout, record: TargetRecord) -> None:
        """Report what the target's places say, where the registry didn't hear it yet.

        A report that isn't stored is told again at the next look.
        """
        said = rollup(record.outcomes, unknown=record.placement.unknown)
        known = record.told == said and not (isinstance(said, Holds) and said.repaired)
        if said is None or known:
            return
        try:
            await self._reports.delivery(_event(rollout, record, said))
        except TransientError as error:
            log.warning("report_not_stored", certificate=rollout.order.name, error=str(error))
            return
        record.told = said
        if isinstance(said, Holds):
            record.told = Holds(repaired=False)
            record.outcomes.update(
                {place: replace(outcome, repaired=False) for place, outcome in record.outcomes.items() if outcome}
            )

    async def _deliver(self, job: Job, wanted: Wanted) -> Finding:
        try:
            bundle = await self._bundles.open(job.order)
        except BundleUnavailableError as error:
            return _failed(DeliveryReason.BUNDLE_UNAVAILABLE, str(error))
        except BundleInvalidError as error:
            return _failed(DeliveryReason.BUNDLE_INVALID, str(error))
        return await self._targets[job.place].deliver(wanted, bundle)

    async def _settle(self, job: Job, finding: Finding, failures: int) -> timedelta | None:
        wait = None
        if finding.failures:
            asked = [failure.retry_after for failure in finding.failures if failure.retry_after is not None]
            wait = delay_after(
                failures + 1, jitter=self._jitter(), longest=_LONGEST_WAIT, retry_after=max(asked, default=None)
            )
        before = job.record.outcomes[job.place]
        job.record.outcomes[job.place] = AtPlace(
            repaired=_repaired(finding, before),
            failures=finding.failures,
            next_try=self._clock() + wait if wait is not None else None,
        )
        self._metrics.settled(job.place.kind, finding)
        for failure in finding.failures:
            log.warning(
                "delivery_failed",
                certificate=job.order.name,
                revision=job.order.revision,
                place=str(job.place),
                reason=str(failure.reason),
                detail=failure.detail,
            )
        await self.tell(job.rollout, job.record)
        return wait

    def _attributes(self, job: Job) -> dict[str, str | int]:
        return {
            "site": self._site,
            "kind": job.target.kind,
            "certificate": job.order.name,
            "revision": job.order.revision,
            "target": job.target.name,
            "place": job.place.name,
        }


def _repaired(finding: Finding, before: AtPlace | None) -> bool:
    untold = before is not None and before.repaired
    held = before is not None and before.holds
    return untold or finding.edited_only or (held and bool(finding.writes))


def _mark(span: Span, done: Finding) -> None:
    span.set_attribute("writes", len(done.writes))
    if done.failures:
        span.set_status(Status(StatusCode.ERROR, str(done.failures[0].reason)))


def _event(rollout: Rollout, record: TargetRecord, said: Holds | Fails) -> DeliverySucceeded | DeliveryFailed:
    order, target = rollout.order, record.placement.target.name
    if isinstance(said, Holds):
        return DeliverySucceeded(
            certificate_id=order.certificate_id,
            revision=order.revision,
            target=target,
            fingerprint_sha256=order.fingerprint_sha256,
            repaired=said.repaired,
        )
    return DeliveryFailed(
        certificate_id=order.certificate_id,
        revision=order.revision,
        target=target,
        reason=said.reason,
        detail=said.detail,
        next_try=said.next_try,
    )


def _failed(reason: DeliveryReason, detail: str) -> Finding:
    return Finding(failures=(Failure(reason, detail),))

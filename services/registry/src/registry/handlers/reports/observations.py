"""Reports of probe workers: what endpoints serve, and which were looked at."""

from datetime import timedelta

import structlog

from certcore.clock import Clock
from certcore.errors import PermanentError
from certcore.events import EndpointObserved, Event, ProbeRound
from certcore.subjects import Reporter
from certkit.bus import Handler
from registry.adapters.store import Transaction
from registry.domain.endpoint import ProbeWorker
from registry.domain.proof import CLOCK_AHEAD, observe
from registry.handlers.changes import Changes
from registry.handlers.reports.once import PATIENT_S, Once
from registry.handlers.reports.rollout import load_rollout

__all__ = ["ObservationReports"]

log = structlog.get_logger()


class ObservationReports:
    def __init__(self, *, once: Once, changes: Changes, clock: Clock) -> None:
        self._once = once
        self._changes = changes
        self._clock = clock

    def handlers(self) -> dict[type[Event], Handler]:
        """What to subscribe to."""
        return {
            EndpointObserved: self._once.handler(self.on_observed),
            ProbeRound: self._once.handler(self.on_probe_round, patience_s=PATIENT_S),
        }

    def on_observed(self, transaction: Transaction, event: EndpointObserved, who: Reporter) -> None:
        rollout = load_rollout(transaction, event.certificate_id)
        change = observe(rollout, event, who, now=self._clock())
        self._changes.save(transaction, rollout, change)

    def on_probe_round(self, transaction: Transaction, event: ProbeRound, who: Reporter) -> None:
        """Note a round. What the round before looked at and this one missed was looked at then.

        A round that missed more than it names proves nothing of what it doesn't name, and is not counted.
        """
        if who.service != "monitor":
            raise PermanentError(f"{who.service} at {who.place} is no probe worker")
        if event.ended > self._clock() + CLOCK_AHEAD:
            raise PermanentError(
                f"the probe round is dated {event.ended.isoformat()}: the clock of {who.place} is wrong"
            )
        known = {(worker.place, worker.name): worker for worker in transaction.probe_workers.all()}
        before = known.get((who.place, event.worker))
        if before is not None and event.ended < before.ended:
            return
        if event.missed_count is not None and event.missed_count > len(event.missed):
            log.warning("round_not_counted", worker=event.worker, place=who.place, missed=event.missed_count)
            return
        missed = frozenset((item.certificate_id, item.url) for item in event.missed)
        for certificate_id, url in missed - (before.missed if before else missed):
            assert before is not None
            transaction.endpoints.note_look(certificate_id, url, before.ended)
        transaction.probe_workers.save(
            ProbeWorker(
                name=event.worker,
                place=who.place,
                started=event.started,
                ended=event.ended,
                period=timedelta(seconds=event.period_s),
                looked=event.looked,
                missed=missed,
            )
        )

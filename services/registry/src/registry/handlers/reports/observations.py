"""Reports of monitors about what endpoints serve."""

from certcore.clock import Clock
from certcore.events import EndpointObserved, Event
from certcore.subjects import Reporter
from certkit.bus import Handler
from registry.adapters.outbox import Outbox
from registry.adapters.store import Transaction
from registry.domain.proof import observe
from registry.handlers.changes import save_change
from registry.handlers.reports.once import Once
from registry.handlers.reports.rollout import load_rollout

__all__ = ["ObservationReports"]


class ObservationReports:
    def __init__(self, *, once: Once, outbox: Outbox, clock: Clock) -> None:
        self._once = once
        self._outbox = outbox
        self._clock = clock

    def handlers(self) -> dict[type[Event], Handler]:
        """What to subscribe to."""
        return {EndpointObserved: self._once.handler(self.on_observed)}

    async def on_observed(self, transaction: Transaction, event: EndpointObserved, who: Reporter) -> None:
        rollout = await load_rollout(transaction, event.certificate_id)
        change = observe(rollout, event, who, now=self._clock())
        await save_change(transaction, self._outbox, rollout.certificate, change)

"""Reports of syncers and pushers about deliveries."""

from certcore.clock import Clock
from certcore.events import DeliveryFailed, DeliverySucceeded, Event
from certcore.subjects import Reporter
from certkit.bus import Handler
from registry.adapters.outbox import Outbox
from registry.adapters.store import Transaction
from registry.domain.proof import deliver, fail_delivery
from registry.handlers.changes import save_change
from registry.handlers.reports.once import Once
from registry.handlers.reports.rollout import load_rollout

__all__ = ["DeliveryReports"]


class DeliveryReports:
    def __init__(self, *, once: Once, outbox: Outbox, clock: Clock) -> None:
        self._once = once
        self._outbox = outbox
        self._clock = clock

    def handlers(self) -> dict[type[Event], Handler]:
        """What to subscribe to."""
        return {
            DeliverySucceeded: self._once.handler(self.on_succeeded),
            DeliveryFailed: self._once.handler(self.on_failed),
        }

    async def on_succeeded(self, transaction: Transaction, event: DeliverySucceeded, who: Reporter) -> None:
        rollout = await load_rollout(transaction, event.certificate_id)
        change = deliver(rollout, event, who, now=self._clock())
        await save_change(transaction, self._outbox, rollout.certificate, change)

    async def on_failed(self, transaction: Transaction, event: DeliveryFailed, who: Reporter) -> None:
        rollout = await load_rollout(transaction, event.certificate_id)
        change = fail_delivery(rollout, event, who, now=self._clock())
        await save_change(transaction, self._outbox, rollout.certificate, change)

"""Certificates whose last sixth began and that nothing follows yet, whatever holds it up: told to the owner."""

from datetime import datetime

from certcore.clock import Clock
from registry.adapters.outbox import Bell
from registry.adapters.store import Store, Transaction
from registry.domain.alert import OwnersFinding
from registry.domain.lateness import LATE, late_of
from registry.handlers.alarms import Alarms
from registry.handlers.owner_alerts import OwnerAlerts

__all__ = ["RenewalWatch"]


class RenewalWatch(OwnerAlerts):
    def __init__(self, *, store: Store, alarms: Alarms, bell: Bell, clock: Clock) -> None:
        super().__init__(reason=LATE, find=_late, store=store, alarms=alarms, bell=bell, clock=clock)


def _late(transaction: Transaction, now: datetime) -> list[OwnersFinding]:
    return [late_of(found, now=now) for found in transaction.renewals.late(now)]

"""Approvals that end: told to the owner in time, since no renewal is ordered without one."""

from datetime import UTC, datetime, timedelta
from typing import Final

from certcore.clock import Clock
from certcore.events import Severity
from registry.adapters.outbox import Bell
from registry.adapters.store import Store, Transaction
from registry.domain.alert import OwnersFinding
from registry.handlers.alarms import Alarms
from registry.handlers.owner_alerts import OwnerAlerts

__all__ = ["ApprovalWatch"]

_BEFORE: Final = timedelta(days=30)
_ENDS: Final = "approval_ends"


class ApprovalWatch(OwnerAlerts):
    """An approval that ends within 30 days or has ended."""

    def __init__(self, *, store: Store, alarms: Alarms, bell: Bell, clock: Clock) -> None:
        super().__init__(reason=_ENDS, find=_ending, store=store, alarms=alarms, bell=bell, clock=clock)


def _ending(transaction: Transaction, now: datetime) -> list[OwnersFinding]:
    return [_told(*item, now=now) for item in transaction.approvals.ending(before=now + _BEFORE)]


def _told(name: str, owner: str, ends_at: datetime, *, now: datetime) -> OwnersFinding:
    when = f"{ends_at.astimezone(UTC):%Y-%m-%d}"
    way_out = f"ask for a new one: certbus cert reapprove {name}"
    if ends_at <= now:
        told = f"the approval of {name} ended on {when}: no renewal is ordered; {way_out}"
        return OwnersFinding(name, owner, Severity.CRITICAL, told)
    return OwnersFinding(name, owner, Severity.WARNING, f"the approval of {name} ends on {when}; {way_out}")

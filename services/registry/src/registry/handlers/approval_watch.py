"""Approvals that end: told to the owner in time, since no renewal is ordered without one."""

from datetime import UTC, datetime, timedelta
from typing import Final

from certcore.clock import Clock
from certcore.events import Severity
from registry.adapters.outbox import SOURCE, Bell
from registry.adapters.store import Store, Transaction
from registry.handlers.alarms import Alarms

__all__ = ["ApprovalWatch"]

_BEFORE: Final = timedelta(days=30)
_ENDS: Final = "approval_ends"


class ApprovalWatch:
    def __init__(self, *, store: Store, alarms: Alarms, bell: Bell, clock: Clock) -> None:
        self._store = store
        self._alarms = alarms
        self._bell = bell
        self._clock = clock

    async def look(self) -> None:
        """Raise an alert for each approval that ends within 30 days or has ended, and end the others; a round."""
        now = self._clock()

        def differs(transaction: Transaction) -> bool:
            ending = {_finding(*item, now=now) for item in transaction.approvals.ending(before=now + _BEFORE)}
            known = {
                (item.subject, item.owner, Severity(item.severity), item.summary)
                for item in transaction.alerts.open(source=SOURCE, reasons=[_ENDS])
            }
            return ending != known

        if await self._store.read(differs):
            await self._store.write(lambda transaction: self._settle(transaction, now))
            self._bell.ring()

    def _settle(self, transaction: Transaction, now: datetime) -> None:
        ending = {_finding(*item, now=now) for item in transaction.approvals.ending(before=now + _BEFORE)}
        for subject, owner, severity, summary in sorted(ending):
            self._alarms.raise_(
                transaction, reason=_ENDS, subject=subject, severity=severity, summary=summary, owner=owner
            )
        still = {(subject, owner) for subject, owner, _, _ in ending}
        for record in transaction.alerts.open(source=SOURCE, reasons=[_ENDS]):
            if (record.subject, record.owner) not in still:
                self._alarms.resolve(transaction, reason=_ENDS, subject=record.subject, owner=record.owner)


def _finding(name: str, owner: str, ends_at: datetime, *, now: datetime) -> tuple[str, str, Severity, str]:
    when = f"{ends_at.astimezone(UTC):%Y-%m-%d}"
    way_out = f"ask for a new one: certbus cert reapprove {name}"
    if ends_at <= now:
        return (
            name,
            owner,
            Severity.CRITICAL,
            f"the approval of {name} ended on {when}: no renewal is ordered; {way_out}",
        )
    return name, owner, Severity.WARNING, f"the approval of {name} ends on {when}; {way_out}"

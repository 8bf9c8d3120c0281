"""Approvals that end: told to the owner in time, since no renewal is ordered without one."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final, NamedTuple

from certcore.clock import Clock
from certcore.events import Severity
from registry.adapters.outbox import SOURCE, Bell
from registry.adapters.store import Store, Transaction
from registry.handlers.alarms import Alarms

__all__ = ["ApprovalWatch"]

_BEFORE: Final = timedelta(days=30)
_ENDS: Final = "approval_ends"
_BATCH: Final = 100
"""So many alerts in one transaction: others write in between."""


class _Ending(NamedTuple):
    name: str
    owner: str
    severity: Severity
    summary: str


class ApprovalWatch:
    def __init__(self, *, store: Store, alarms: Alarms, bell: Bell, clock: Clock) -> None:
        self._store = store
        self._alarms = alarms
        self._bell = bell
        self._clock = clock

    async def look(self) -> None:
        """Raise an alert for each approval that ends within 30 days or has ended, and end the others; a round."""
        now = self._clock()
        raised, over = await self._store.read(partial(_news, now))
        for first in range(0, max(len(raised), len(over)), _BATCH):
            part = slice(first, first + _BATCH)
            await self._store.write(partial(self._settle, raised[part], over[part]))
            self._bell.ring()

    def _settle(self, raised: Sequence[_Ending], over: Sequence[tuple[str, str]], transaction: Transaction) -> None:
        for item in raised:
            self._alarms.raise_(
                transaction,
                reason=_ENDS,
                subject=item.name,
                severity=item.severity,
                summary=item.summary,
                owner=item.owner,
            )
        for name, owner in over:
            self._alarms.resolve(transaction, reason=_ENDS, subject=name, owner=owner)


def _news(now: datetime, transaction: Transaction) -> tuple[list[_Ending], list[tuple[str, str]]]:
    """What is to be raised or told otherwise, and the name and owner of what is over."""
    ending = [_ending(*item, now=now) for item in transaction.approvals.ending(before=now + _BEFORE)]
    known = {
        _Ending(record.subject, record.owner, Severity(record.severity), record.summary)
        for record in transaction.alerts.open(source=SOURCE, reasons=[_ENDS])
    }
    still = {(item.name, item.owner) for item in ending}
    over = sorted({(item.name, item.owner) for item in known} - still)
    return [item for item in ending if item not in known], over


def _ending(name: str, owner: str, ends_at: datetime, *, now: datetime) -> _Ending:
    when = f"{ends_at.astimezone(UTC):%Y-%m-%d}"
    way_out = f"ask for a new one: certbus cert reapprove {name}"
    if ends_at <= now:
        told = f"the approval of {name} ended on {when}: no renewal is ordered; {way_out}"
        return _Ending(name, owner, Severity.CRITICAL, told)
    return _Ending(name, owner, Severity.WARNING, f"the approval of {name} ends on {when}; {way_out}")

"""Certificates whose last sixth began and that nothing follows yet, whatever holds it up: told to the owner."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Final

from certcore.clock import Clock
from registry.adapters.outbox import SOURCE, Bell
from registry.adapters.store import Store, Transaction
from registry.domain.lateness import LATE, Late, late_of
from registry.handlers.alarms import Alarms

__all__ = ["RenewalWatch"]

_BATCH: Final = 100
"""So many alerts in one transaction: others write in between."""


class RenewalWatch:
    def __init__(self, *, store: Store, alarms: Alarms, bell: Bell, clock: Clock) -> None:
        self._store = store
        self._alarms = alarms
        self._bell = bell
        self._clock = clock

    async def look(self) -> None:
        """Raise an alert for each renewal that is late, and end the others; a round."""
        raised, over = await self._store.read(partial(_news, self._clock()))
        for first in range(0, max(len(raised), len(over)), _BATCH):
            part = slice(first, first + _BATCH)
            await self._store.write(partial(self._settle, raised[part], over[part]))
            self._bell.ring()

    def _settle(self, raised: Sequence[Late], over: Sequence[tuple[str, str]], transaction: Transaction) -> None:
        for item in raised:
            self._alarms.raise_(
                transaction,
                reason=LATE,
                subject=item.name,
                severity=item.severity,
                summary=item.summary,
                owner=item.owner,
            )
        for name, owner in over:
            self._alarms.resolve(transaction, reason=LATE, subject=name, owner=owner)


def _news(now: datetime, transaction: Transaction) -> tuple[list[Late], list[tuple[str, str]]]:
    """What is to be raised or told otherwise, and the name and owner of what is over."""
    late = [late_of(found, now=now) for found in transaction.renewals.late(now)]
    known = {
        (record.subject, record.owner): (record.severity, record.summary)
        for record in transaction.alerts.open(source=SOURCE, reasons=[LATE])
    }
    still = {(item.name, item.owner) for item in late}
    raised = [item for item in late if known.get((item.name, item.owner)) != (str(item.severity), item.summary)]
    return raised, sorted(known.keys() - still)

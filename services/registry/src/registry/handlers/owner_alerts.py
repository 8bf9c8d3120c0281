"""A round that tells the owners of certificates what is wrong with them for one reason, and what is over."""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Final

from certcore.clock import Clock
from registry.adapters.outbox import SOURCE, Bell
from registry.adapters.store import Store, Transaction
from registry.domain.alert import OwnersFinding
from registry.handlers.alarms import Alarms

__all__ = ["OwnerAlerts"]

_BATCH: Final = 100
"""So many alerts in one transaction: others write in between."""

Find = Callable[[Transaction, datetime], list[OwnersFinding]]


class OwnerAlerts:
    def __init__(self, *, reason: str, find: Find, store: Store, alarms: Alarms, bell: Bell, clock: Clock) -> None:
        """`find` finds all that is wrong at an instant."""
        self._reason = reason
        self._find = find
        self._store = store
        self._alarms = alarms
        self._bell = bell
        self._clock = clock

    async def look(self) -> None:
        """Raise an alert for each that is found, and end the others; a round."""
        raised, over = await self._store.read(partial(self._news, self._clock()))
        for first in range(0, max(len(raised), len(over)), _BATCH):
            part = slice(first, first + _BATCH)
            await self._store.write(partial(self._settle, raised[part], over[part]))
            self._bell.ring()

    def _news(self, now: datetime, transaction: Transaction) -> tuple[list[OwnersFinding], list[tuple[str, str]]]:
        """What is to be raised or told otherwise, and the name and owner of what is over."""
        found = self._find(transaction, now)
        known = {
            (record.subject, record.owner): (record.severity, record.summary)
            for record in transaction.alerts.open(source=SOURCE, reasons=[self._reason])
        }
        still = {(item.name, item.owner) for item in found}
        raised = [item for item in found if known.get((item.name, item.owner)) != (str(item.severity), item.summary)]
        return raised, sorted(known.keys() - still)

    def _settle(
        self, raised: Sequence[OwnersFinding], over: Sequence[tuple[str, str]], transaction: Transaction
    ) -> None:
        for item in raised:
            self._alarms.raise_(
                transaction,
                reason=self._reason,
                subject=item.name,
                severity=item.severity,
                summary=item.summary,
                owner=item.owner,
            )
        for name, owner in over:
            self._alarms.resolve(transaction, reason=self._reason, subject=name, owner=owner)

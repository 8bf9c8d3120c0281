"""Anchors the position of the database outside of it, so that an older copy of it is recognised."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from functools import partial
from typing import Final

import structlog

from certcore.clock import Clock
from certcore.errors import TransientError
from certcore.events import RegistryAnchored, Severity
from registry.adapters.anchors import AnchorPlace
from registry.adapters.outbox import Bell
from registry.adapters.store import Store, Transaction
from registry.domain.alert import PLATFORM_OWNER, alert_id
from registry.handlers.alarms import Alarms

__all__ = ["ALARM", "Anchoring"]

log = structlog.get_logger()

ALARM: Final = "audit_changed"
_SUBJECT: Final = "registry"
_TOLD_FOR: Final = timedelta(days=1)


class Anchoring:
    """It also looks whether the audit still holds what was anchored the last time."""

    def __init__(
        self, *, store: Store, places: Sequence[AnchorPlace], alarms: Alarms, bell: Bell, clock: Clock
    ) -> None:
        self._store = store
        self._places = places
        self._alarms = alarms
        self._bell = bell
        self._clock = clock
        self._before: Sequence[RegistryAnchored] | None = None

    async def anchor(self) -> None:
        """Anchor in every place what is committed now. One that stored it is enough, until the next round.

        Raises:
            TransientError: none of the places is known to have stored it.
        """

        def position(transaction: Transaction) -> RegistryAnchored:
            return transaction.epochs.position(self._clock())

        anchor = await self._store.read(position)
        if self._before is None:
            self._before = await self._found(anchor.database_id)
        await self._look_back(anchor, self._before)
        self._before = [anchor]
        failed: list[str] = []
        for place in self._places:
            try:
                await place.keep(anchor)
            except (TransientError, OSError) as error:
                log.warning("place_not_anchored", error=str(error))
                failed.append(str(error))
        if len(failed) == len(self._places):
            raise TransientError(f"the position wasn't anchored: {'; '.join(failed)}")

    async def _found(self, database_id: str) -> list[RegistryAnchored]:
        """What was anchored before this process."""
        found: list[RegistryAnchored] = []
        for place in self._places:
            try:
                found += await place.found(database_id)
            except (TransientError, OSError) as error:
                log.warning("anchor_not_read", error=str(error))
        return found

    async def _look_back(self, anchor: RegistryAnchored, before: Iterable[RegistryAnchored]) -> None:
        # What an older copy lacks is the matter of its restoration.
        known = [
            head
            for item in before
            if (item.database_id, item.epoch) == (anchor.database_id, anchor.epoch)
            for head in item.audit_heads
        ]

        def look(transaction: Transaction) -> tuple[list[str], bool]:
            gone = [f"{head.chain}/{head.number}" for head in known if not transaction.audit.holds(head)]
            told = transaction.alerts.get(alert_id(owner=PLATFORM_OWNER, about=_SUBJECT, reason=ALARM))
            is_old = told is not None and told.resolved_at is None and told.since <= self._clock() - _TOLD_FOR
            return gone, is_old

        gone, is_old = await self._store.read(look)
        if gone:
            log.error("audit_changed", entries=gone)
            await self._store.write(partial(self._raise, gone))
        elif is_old:
            await self._store.write(partial(self._alarms.resolve, reason=ALARM, subject=_SUBJECT))
        if gone or is_old:
            self._bell.ring()

    def _raise(self, gone: Sequence[str], transaction: Transaction) -> None:
        summary = (
            f"audit entry {', '.join(gone)} was anchored, and is changed or gone: find out by `certbus audit verify`"
        )
        self._alarms.raise_(transaction, reason=ALARM, subject=_SUBJECT, severity=Severity.CRITICAL, summary=summary)

    async def anchor_at_the_end(self) -> None:
        """The last anchor before a stop. One that can't be stored keeps nothing from ending."""
        try:
            await self.anchor()
        except TransientError as error:
            log.warning("not_anchored", error=str(error))

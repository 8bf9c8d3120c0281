"""The audit, read by auditors: in pages, and whole with what proves that it is."""

from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Final

import structlog

from certcore.audit import AuditEntry, AuditHead, fields_of
from certcore.audit_export import AuditExport
from certcore.clock import Clock
from certcore.errors import TransientError
from certcore.events import RegistryAnchored
from registry.adapters.anchors import AnchorHistory
from registry.adapters.store import Store, Transaction
from registry.domain.epoch import Epoch

__all__ = ["AuditReading"]

log = structlog.get_logger()

_BATCH: Final = 500


class AuditReading:
    def __init__(self, *, store: Store, places: Sequence[AnchorHistory], clock: Clock) -> None:
        self._store = store
        self._places = places
        self._clock = clock

    async def export(self) -> AsyncIterator[bytes]:
        """Everything that is noted now, and every anchor of it that is kept.

        It is read in parts, each in a transaction of its own. What is noted meanwhile isn't in it.

        Raises:
            DatabaseBusyError: the database can't be read now; also while it is read.
        """
        epoch = await self._store.read(lambda transaction: transaction.epochs.present())
        # Before the heads: no anchor in it is newer than them.
        anchors, unread = await self._anchors(epoch.database_id)
        heads = await self._store.read(lambda transaction: transaction.audit.heads())
        return self._lines(epoch, heads, anchors, unread)

    async def _anchors(
        self, database_id: str
    ) -> tuple[list[tuple[str, AsyncIterator[RegistryAnchored]]], list[tuple[str, str]]]:
        found: list[tuple[str, AsyncIterator[RegistryAnchored]]] = []
        unread: list[tuple[str, str]] = []
        for place in self._places:
            try:
                found.append((place.name, await place.until_now(database_id)))
            except (TransientError, OSError) as error:
                unread.append((place.name, _why(error)))
        return found, unread

    async def _lines(
        self,
        epoch: Epoch,
        heads: Sequence[AuditHead],
        anchors: Sequence[tuple[str, AsyncIterator[RegistryAnchored]]],
        unread: list[tuple[str, str]],
    ) -> AsyncIterator[bytes]:
        export = AuditExport()
        yield export.header(database_id=epoch.database_id, epoch=epoch.number, now=self._clock())
        for head in heads:
            after = 0
            while part := await self._store.read(partial(_part, head, after)):
                yield export.entries(map(fields_of, part))
                after = part[-1].number
        for place, kept in anchors:
            try:
                async for anchor in _changing(kept):
                    yield export.anchor(place, anchor)
            except (TransientError, OSError) as error:
                unread.append((place, _why(error)))
        for place, why in unread:
            log.warning("anchors_not_exported", place=place, error=why)
            yield export.unread(place, why)
        yield export.end(heads)


def _part(head: AuditHead, after: int, transaction: Transaction) -> list[AuditEntry]:
    return transaction.audit.part(head, after=after, limit=_BATCH)


async def _changing(anchors: AsyncIterator[RegistryAnchored]) -> AsyncIterator[RegistryAnchored]:
    """Those that say something else of the audit than the one before: a registry that rests anchors the same."""
    before: tuple[int, tuple[AuditHead, ...]] = (0, ())
    async for anchor in anchors:
        told = (anchor.epoch, anchor.audit_heads)
        if anchor.audit_heads and told != before:
            yield anchor
        before = told


def _why(error: Exception) -> str:
    return str(error) or type(error).__name__

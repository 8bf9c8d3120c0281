"""The newest events in memory: one reader of the database, however many people follow; none while nobody does."""

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

import structlog

from certcore.errors import TransientError
from registry.adapters.outbox import Bell
from registry.adapters.store import Store, Transaction
from registry.adapters.store.events import StoredEvent
from registry.domain.settled import Settled, Snapshot

__all__ = ["Feed"]

log = structlog.get_logger()

_KEPT: Final = 2000
_BATCH: Final = 500
_GATHER_S: Final = 0.1
"""Events that come together are read together."""
_UNSETTLED_S: Final = 0.05
"""Between two looks while somebody writes what may come before what was found."""
_OTHERS_S: Final = 1.0
"""How long events of another replica may take to be found: no bell rings for them here."""


class Feed:
    """Followers are given what comes after an event: from memory, or from the database where that is long ago. Only
    what is settled: nothing comes later that belongs before it, see `registry.domain.settled`.
    """

    def __init__(self, *, store: Store, bell: Bell) -> None:
        self._store = store
        self._bell = bell
        self._kept: deque[StoredEvent] = deque(maxlen=_KEPT)
        self._settled = Settled()
        self._news = asyncio.Event()
        self._followers = 0
        self._followed = asyncio.Event()

    @contextmanager
    def following(self) -> Iterator[None]:
        """New events are read within it; what comes meanwhile is missed by nobody who asks `after`."""
        self._followers += 1
        self._followed.set()
        try:
            yield
        finally:
            self._followers -= 1
            if not self._followers:
                self._followed.clear()

    async def run(self) -> None:
        """Read new events until cancelled."""
        while True:
            if not self._followers:
                self._kept.clear()
                self._settled = Settled()
                await self._followed.wait()
            try:
                found = await self._read_new()
            except TransientError as error:
                log.warning("events_not_read", error=str(error))
                found = 0
                await asyncio.sleep(_OTHERS_S)
            if self._settled.waiting is not None:
                await asyncio.sleep(_UNSETTLED_S)
            elif found < _BATCH:
                await self._bell.wait(_OTHERS_S)
                await asyncio.sleep(_GATHER_S)

    async def after(self, sequence: int, *, limit: int) -> list[StoredEvent]:
        """Oldest first; empty where there is none yet.

        Raises:
            DatabaseBusyError: they are not in memory, and the database can't be read now.
        """
        until = self._settled.until
        if until is None or sequence >= until:
            return []
        if self._kept and self._kept[0].sequence <= sequence + 1:
            return [event for event in self._kept if event.sequence > sequence][:limit]
        found = await self._store.read(lambda transaction: transaction.events.after(sequence, limit))
        return [event for event in found if event.sequence <= until]

    async def reached(self, sequence: int) -> None:
        """Wait, while following, until no event can come any more before this one."""
        while self._settled.until is None or self._settled.until < sequence:
            await self.wait()

    async def wait(self) -> None:
        """Until there are new events, or somebody should look whether to go on."""
        try:
            async with asyncio.timeout(_OTHERS_S):
                await self._news.wait()
        except TimeoutError:
            return

    async def _read_new(self) -> int:
        before = self._settled.until
        found, snapshot = await self._store.read(partial(_next, self._settled))
        self._settled = self._settled.looked([event.sequence for event in found], snapshot)
        until = self._settled.until
        if until != before:
            if before is not None and until is not None:
                self._kept += [event for event in found if event.sequence <= until]
            self._tell()
        return len(found)

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


def _next(settled: Settled, transaction: Transaction) -> tuple[list[StoredEvent], Snapshot | None]:
    if settled.until is None:
        last = transaction.events.last()
        found = [last] if last is not None else []
    else:
        found = transaction.events.after(settled.until, _BATCH)
    unsure = settled.passes_some_by([event.sequence for event in found])
    return found, transaction.events.snapshot() if unsure else None

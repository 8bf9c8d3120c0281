"""Rounds that forget what is of no use any more."""

from datetime import timedelta
from typing import Final

import structlog

from certcore.clock import Clock
from registry.adapters.store import Store, Transaction
from registry.domain.keyed import KEPT_FOR

__all__ = ["Upkeep"]

log = structlog.get_logger()

_REMEMBERED: Final = timedelta(days=40)
"""Longer than any stream keeps a message, so that none comes again after it was forgotten."""
_BATCH: Final = 1000


class Upkeep:
    def __init__(self, *, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def prune(self) -> None:
        """Forget, in short transactions, which events were handled and which renewals ordered long ago, which pages
        were open, and what was answered.
        """
        now, gone = self._clock(), 0
        before = now - _REMEMBERED

        def work(transaction: Transaction) -> int:
            return (
                transaction.inbox.prune(before, _BATCH)
                + transaction.tokens.prune_sessions(before, _BATCH)
                + transaction.renewals.prune(before, _BATCH)
                + transaction.kept_answers.prune(now - KEPT_FOR, _BATCH)
            )

        while (pruned := await self._store.write(work)) > 0:
            gone += pruned
        if gone:
            log.info("upkeep_pruned", forgotten=gone)

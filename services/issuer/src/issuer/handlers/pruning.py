"""Forgets what nobody can need any more."""

import structlog

from certcore.clock import Clock
from issuer.adapters.kept_bundles import KeptBundles, Pruned
from issuer.handlers.crls import Crls

__all__ = ["Pruning"]

log = structlog.get_logger()


class Pruning:
    def __init__(self, *, kept: KeptBundles, crls: Crls, clock: Clock) -> None:
        self._kept = kept
        self._crls = crls
        self._clock = clock

    async def prune(self) -> None:
        """One round.

        Raises:
            DatabaseBusyError: it is repeated.
        """
        pruned = await self._kept.prune(now=self._clock())
        revoked = await self._crls.prune()
        if pruned != Pruned(0, 0) or revoked:
            log.info(
                "journal_pruned",
                bundles=pruned.bundles,
                rows=pruned.rows,
                orders=pruned.orders,
                revoked_leaves=revoked,
            )

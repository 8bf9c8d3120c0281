"""Rounds that find certificates whose health changed by time alone: a proof aged, a grace ended."""

from collections.abc import Set as AbstractSet
from functools import partial

import structlog

from certcore.clock import Clock
from certcore.conditions import Health
from registry.adapters.outbox import Bell
from registry.adapters.store import RowChangedError, Store, Transaction
from registry.domain.endpoint import are_stale
from registry.handlers.changes import Changes

__all__ = ["HealthSweep"]

log = structlog.get_logger()

_BATCH = 200


class HealthSweep:
    """Without recent probe rounds, certificates that were ok or degraded become unknown. With them, unknown and
    progressing ones are judged again, and those that a round missed.
    """

    def __init__(self, *, store: Store, changes: Changes, bell: Bell, clock: Clock) -> None:
        self._store = store
        self._changes = changes
        self._bell = bell
        self._clock = clock

    async def sweep(self) -> None:
        """Judge every certificate whose health may have changed by time."""
        now = self._clock()
        workers, ended = await self._store.read(
            lambda transaction: (transaction.probe_workers.all(), transaction.certificates.expired(now=now))
        )
        nobody_looks = are_stale(workers, now=now)
        healths = {Health.PROGRESSING, *((Health.OK, Health.DEGRADED) if nobody_looks else (Health.UNKNOWN,))}
        # Also those that a probe round missed, and those that expired.
        by_name = {certificate_id for worker in workers for certificate_id, _ in worker.missed}.union(ended)
        after, changed = "", 0
        for certificate_id in sorted(by_name):
            changed += await self._judge(certificate_id)
        while True:
            ids = await self._store.read(partial(_of_health, healths, after))
            for certificate_id in ids:
                changed += await self._judge(certificate_id)
            if len(ids) < _BATCH:
                break
            after = ids[-1]
        if changed:
            self._bell.ring()

    async def _judge(self, certificate_id: str) -> bool:
        def work(transaction: Transaction) -> bool:
            rollout = transaction.rollouts.get(certificate_id)
            if rollout is None:
                return False
            judged = self._changes.judge(transaction, rollout)
            if judged == rollout.certificate:
                return False
            saved = transaction.certificates.save(judged)
            self._changes.announce_health(transaction, rollout.certificate, saved)
            return True

        try:
            return await self._store.write(work)
        except RowChangedError as error:
            # The concurrent change has judged it.
            log.debug("not_judged", certificate_id=certificate_id, reason=str(error))
            return False


def _of_health(healths: AbstractSet[Health], after: str, transaction: Transaction) -> list[str]:
    return transaction.certificates.ids(healths=healths, after=after, limit=_BATCH)

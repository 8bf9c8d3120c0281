"""Rounds that find certificates whose health changed by time alone: a proof aged, a grace ended."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial

import structlog

from certcore.clock import Clock
from certcore.conditions import Health
from registry.adapters.outbox import Bell
from registry.adapters.store import RowChangedError, Store, Transaction
from registry.domain.certificate import Certificate
from registry.domain.endpoint import are_stale
from registry.handlers.changes import Changes

__all__ = ["HealthSweep"]

log = structlog.get_logger()

_BATCH = 100
"""What is judged anew of so many is stored in one transaction: others wait for it less than 100 ms."""


class HealthSweep:
    """Without recent probe rounds, certificates that were ok or degraded become unknown. With them, unknown and
    progressing ones are judged again, and those that a round missed.
    """

    def __init__(self, *, store: Store, changes: Changes, bell: Bell, clock: Clock) -> None:
        self._store = store
        self._changes = changes
        self._bell = bell
        self._clock = clock
        self._ended_until: datetime | None = None
        """Every leaf whose end came until then was looked at."""

    async def sweep(self) -> None:
        """Judge every certificate whose health may have changed by time."""
        now = self._clock()
        workers, ended = await self._store.read(
            lambda transaction: (
                transaction.probe_workers.all(),
                transaction.certificates.expired(since=self._ended_until, now=now),
            )
        )
        nobody_looks = are_stale(workers, now=now)
        healths = {Health.PROGRESSING, *((Health.OK, Health.DEGRADED) if nobody_looks else (Health.UNKNOWN,))}
        # Also those that a probe round missed, and those that expired.
        by_name = {certificate_id for worker in workers for certificate_id, _ in worker.missed}.union(ended)
        changed = 0
        for batch in _batches(sorted(by_name)):
            changed += await self._judge(batch)
        self._ended_until = now
        for health in sorted(healths):
            changed += await self._judge_all_of(health)
        if changed:
            self._bell.ring()

    async def _judge_all_of(self, health: Health) -> int:
        changed, after = 0, ""
        while True:
            ids = await self._store.read(partial(_of_health, health, after))
            changed += await self._judge(ids)
            if len(ids) < _BATCH:
                return changed
            after = ids[-1]

    async def _judge(self, certificate_ids: Sequence[str]) -> int:
        """Look first, without the writer's turn: most stay as they are."""
        stale = await self._store.read(partial(self._misjudged, certificate_ids))
        return await self._store.write(partial(self._judge_anew, stale)) if stale else 0

    def _misjudged(self, certificate_ids: Sequence[str], transaction: Transaction) -> list[str]:
        return [before.id for before, after in self._judged(certificate_ids, transaction) if before != after]

    def _judge_anew(self, certificate_ids: Sequence[str], transaction: Transaction) -> int:
        changed = 0
        for before, after in self._judged(certificate_ids, transaction):
            if before == after:
                continue
            try:
                saved = transaction.certificates.save(after)
            except RowChangedError as error:
                # The concurrent change has judged it.
                log.debug("not_judged", certificate=before.name, reason=str(error))
                continue
            self._changes.announce_health(transaction, before, saved)
            changed += 1
        return changed

    def _judged(
        self, certificate_ids: Sequence[str], transaction: Transaction
    ) -> list[tuple[Certificate, Certificate]]:
        certificates = transaction.certificates.many(certificate_ids)
        judged = self._changes.judge_all(transaction, transaction.rollouts.many(certificates))
        return list(zip(certificates, judged, strict=True))


def _of_health(health: Health, after: str, transaction: Transaction) -> list[str]:
    return transaction.certificates.ids(health=health, after=after, limit=_BATCH)


def _batches(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(ids), _BATCH):
        yield ids[start : start + _BATCH]

"""Keys that are to be sealed again: listed for the escrow, taken from it, and what happens where there is none."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Final

import structlog

from certcore.audit import Way
from certcore.bundles import ResealedKeys, ResealWanted
from certcore.clock import Clock
from certcore.errors import InspectionError
from certcore.identities import ESCROW, HUB
from certkit.telemetry import current_traceparent
from registry.adapters.outbox import Bell
from registry.adapters.store import Store, Transaction
from registry.domain.errors import NotFoundError
from registry.domain.planning import RenewalReason
from registry.domain.renewal import decide as decide_renewal
from registry.domain.renewal import order
from registry.domain.resealing import Resealing as Decision
from registry.domain.resealing import Standing, accept_resealed, decide, wanted_reseals
from registry.domain.site import ServiceSeen
from registry.handlers.changes import Changes
from registry.handlers.levels import LevelPage, page_of

__all__ = ["Resealing"]

log = structlog.get_logger()

Noticed = Mapping[str, datetime]
"""Since when each recipient of a certificate is looked at."""

_ACTOR: Final = "registry"
_BATCH: Final = 50
"""Of one round: where there is no escrow, so many revisions are ordered at once at most."""
_NOTED_S: Final = 0.5


class Resealing:
    def __init__(self, *, store: Store, changes: Changes, bell: Bell, clock: Clock) -> None:
        self._store = store
        self._changes = changes
        self._bell = bell
        self._clock = clock

    async def page(self, *, after: str, limit: int, known: frozenset[str], actor: str) -> LevelPage[ResealWanted]:
        """What is to be sealed again, by certificate id, those after an id. What of it is shown is audited."""

        def work(transaction: Transaction) -> LevelPage[ResealWanted]:
            if transaction.epochs.present().waiting:
                return page_of([], further=None, known=known)
            ids = transaction.reseals.certificates(after=after, limit=limit)
            found = [
                item for standing in self._standing(transaction, ids) for item in wanted_reseals(standing.missing)
            ]
            return page_of(found, further=ids[-1] if len(ids) == limit else None, known=known)

        page = await self._store.read(work)
        items, now = page.items or (), self._clock()

        def note(transaction: Transaction) -> None:
            # One of the version before has no other sign of life.
            seen = transaction.services.get(HUB, ESCROW) or ServiceSeen(HUB, ESCROW, None, None)
            transaction.services.save(replace(seen, last_heartbeat=now))
            for item in items:
                what = f"{item.certificate_id}/{item.revision}/{item.variant}"
                names = ", ".join(recipient.name for recipient in item.recipients)
                transaction.audit.note(
                    actor, "fetch escrow copy", what, f"to be sealed to {names}", now, way=Way.TOKEN
                )

        await self._store.write(note, patience_s=0.0 if items else _NOTED_S)
        return page

    async def store_keys(
        self, certificate_id: str, number: int, variant: str, resealed: ResealedKeys, *, actor: str
    ) -> None:
        """Keep keys that were sealed again, and order their deliveries. The same keys again are no error.

        Raises:
            NotFoundError: there is no such revision.
            ConflictError: a key isn't wanted, or is not sealed to the key that its recipient has.
            InspectionError: a key can't be read, or is not sealed.
        """
        if any(b"PRIVATE KEY" in key.raw() for key in resealed.keys):
            raise InspectionError("a key is not sealed")

        def work(transaction: Transaction) -> None:
            standing = next(iter(self._standing(transaction, [certificate_id])), None)
            revision = standing.rollout.revision(number, variant) if standing is not None else None
            if standing is None or revision is None:
                raise NotFoundError(f"there is no bundle {certificate_id}/{number}")
            now, carried = self._clock(), transaction.services.carried()
            change = accept_resealed(standing, revision, resealed.keys, carried, now=now)
            transaction.revisions.reseal(revision, resealed.keys)
            self._changes.save(transaction, standing.rollout, change)
            what = f"{standing.rollout.certificate.name}/{number}/{variant}"
            transaction.audit.note(actor, "reseal key", what, change.reason, now, way=Way.TOKEN)
            self._forget_done(transaction, certificate_id)

        await self._store.write(work)
        self._bell.ring()

    async def sweep(self) -> None:
        """One round: forget what isn't missing any more, and order revisions where no escrow seals again."""
        after, ordered = "", 0
        while ordered < _BATCH:
            ids = await self._store.read(partial(_noticed, after))
            for certificate_id in await self._store.read(partial(self._changing, ids)):
                ordered += await self._store.write(partial(self._settle, certificate_id))
            if len(ids) < _BATCH:
                break
            after = ids[-1]
        if ordered:
            self._bell.ring()

    def _changing(self, ids: Sequence[str], transaction: Transaction) -> list[str]:
        """Those of the certificates about which there is something to do now."""
        noticed = transaction.reseals.of(ids)
        return [
            standing.rollout.certificate.id
            for standing in self._standing(transaction, ids)
            if _done(standing, noticed[standing.rollout.certificate.id])
            or self._decision(transaction, standing, noticed[standing.rollout.certificate.id]).new_revision
        ]

    def _settle(self, certificate_id: str, transaction: Transaction) -> bool:
        """Whether a revision was ordered."""
        self._forget_done(transaction, certificate_id)
        noticed = transaction.reseals.of([certificate_id]).get(certificate_id, {})
        standing = next(iter(self._standing(transaction, [certificate_id])), None)
        if standing is None or not noticed:
            return False
        rollout, now = standing.rollout, self._clock()
        decision = self._decision(transaction, standing, noticed)
        if not decision.new_revision:
            return False
        approval = transaction.approvals.get(rollout.certificate.approval_id)
        renewal = decide_renewal(rollout, approval, now=now, asked=True)
        log.info("reseal_by_revision", certificate=rollout.certificate.name, reason=decision.reason, due=renewal.due)
        if not renewal.due or approval is None:
            return False
        sites, reason = transaction.sites.all(), RenewalReason.RECIPIENT_KEY
        change = order(rollout, approval, sites, reason, traceparent=current_traceparent(), now=now)
        self._changes.save(transaction, rollout, change)
        transaction.audit.note(_ACTOR, "renew", rollout.certificate.name, reason, now, way=Way.SYSTEM)
        return True

    def _decision(self, transaction: Transaction, standing: Standing, noticed: Noticed) -> Decision:
        seen = transaction.services.get(HUB, ESCROW)
        escrow_seen = seen.last_heartbeat if seen is not None else None
        return decide(standing, escrow_seen=escrow_seen, since=min(noticed.values()), now=self._clock())

    def _forget_done(self, transaction: Transaction, certificate_id: str) -> None:
        noticed = transaction.reseals.of([certificate_id]).get(certificate_id, {})
        for standing in self._standing(transaction, [certificate_id]):
            if done := _done(standing, noticed):
                transaction.reseals.forget(certificate_id, done)

    def _standing(self, transaction: Transaction, ids: Sequence[str]) -> list[Standing]:
        if not ids:
            return []
        rollouts = transaction.rollouts.many(transaction.certificates.many(ids))
        sites, now = transaction.sites.all(), self._clock()
        keys = {
            (rollout.certificate.id, revision.number, revision.variant)
            for rollout in rollouts
            for revision in rollout.variants
        }
        sealed = transaction.revisions.sealed_keys(keys)
        return [Standing.of(rollout, sealed.get(rollout.certificate.id, {}), sites, now=now) for rollout in rollouts]


def _noticed(after: str, transaction: Transaction) -> list[str]:
    if transaction.epochs.present().waiting:
        return []
    return transaction.reseals.certificates(after=after, limit=_BATCH)


def _done(standing: Standing, noticed: Noticed) -> set[str]:
    """The recipients that miss nothing any more."""
    return noticed.keys() - {recipient.name for item in standing.missing for recipient in item.recipients}

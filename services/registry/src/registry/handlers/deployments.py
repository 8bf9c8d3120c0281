"""What a service of a place should hold, as a level: read at its start, and ordered again where that is needed."""

from collections.abc import Iterable, Sequence

import structlog

from certcore.errors import PermanentError
from certcore.events import CsrWanted
from certcore.identities import recipient_name
from certcore.placements import PLATFORM
from registry.adapters.store import Transaction
from registry.domain.deployment import Deployment, deployment
from registry.domain.revision import SigningState
from registry.domain.rollout import Rollout
from registry.domain.signing import wanted_csr
from registry.handlers.changes import Changes

__all__ = ["Deployments"]

log = structlog.get_logger()

_BATCH = 500


class Deployments:
    def __init__(self, *, changes: Changes) -> None:
        self._changes = changes

    def page(
        self, transaction: Transaction, place: str, service: str, *, after: str, limit: int
    ) -> tuple[list[Deployment], str | None]:
        """The deployments of a service by certificate id, those after an id; and the id to continue after."""
        ids = transaction.placements.certificates_at(place, service, after=after, limit=limit)
        rollouts = transaction.rollouts.many(transaction.certificates.many(ids))
        found = self._of(transaction, rollouts, place, service)
        return [item for _, item in found], ids[-1] if len(ids) == limit else None

    def wanted_csrs(
        self, transaction: Transaction, place: str, service: str, *, after: str, limit: int
    ) -> tuple[list[CsrWanted], str | None]:
        """The signing requests that a service's targets should offer, by certificate id as `page`."""
        ids = transaction.placements.certificates_at(place, service, after=after, limit=limit)
        rollouts = transaction.rollouts.many(transaction.certificates.many(ids))
        found = []
        for rollout in rollouts:
            for placement in rollout.placements:
                if (placement.place, placement.service) != (place, service) or placement.variant == PLATFORM:
                    continue
                asked = [
                    wanted_csr(rollout, placement, request)
                    for request in rollout.signing
                    if request.target == placement.target and request.state is SigningState.WANTED
                ]
                found += [item.event for item in asked if item is not None]
        return found, ids[-1] if len(ids) == limit else None

    def order_again(self, transaction: Transaction, place: str, service: str, *, kinds: Iterable[str]) -> int:
        """Order what a service should hold on targets of these kinds; returns how many certificates that concerns."""
        kinds, after, ordered = list(kinds), "", 0
        while True:
            ids = transaction.placements.certificates_at(place, service, kinds=kinds, after=after, limit=_BATCH)
            rollouts = transaction.rollouts.many(transaction.certificates.many(ids))
            for rollout, item in self._of(transaction, rollouts, place, service):
                self._changes.announce(transaction, rollout.certificate, (item,))
                ordered += 1
            if len(ids) < _BATCH:
                return ordered
            after = ids[-1]

    def _of(
        self, transaction: Transaction, rollouts: Sequence[Rollout], place: str, service: str
    ) -> list[tuple[Rollout, Deployment]]:
        pairs = {
            (rollout.certificate.id, revision.number, revision.variant)
            for rollout in rollouts
            for revision in rollout.variants
        }
        recipient = recipient_name(place, service)
        sealed = transaction.revisions.sealed_keys(pairs, recipient=recipient)
        carried = transaction.services.carried()
        found = []
        for rollout in rollouts:
            keys = sealed.get(rollout.certificate.id, {})
            try:
                item = deployment(rollout, keys, carried, place=place, service=service)
            except PermanentError as error:
                # The others are listed all the same.
                log.warning("deployment_left_out", place=place, service=service, error=str(error))
                continue
            if item is not None:
                found.append((rollout, item))
        return found

"""What a service of a place should hold, as a level: read at its start, and ordered again where that is needed."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import structlog

from certcore.errors import PermanentError
from certcore.events import CsrWanted, DeploymentOrdered
from certcore.identities import recipient_name
from registry.adapters.store import Transaction
from registry.domain.deployment import Deployment, deployment
from registry.domain.placement import Placement
from registry.domain.rollout import Rollout
from registry.domain.signing import wanted_csr
from registry.domain.site import Carried
from registry.handlers.changes import Changes
from registry.handlers.levels import LevelPage, page_of, page_unless_known

__all__ = ["Deployments"]

log = structlog.get_logger()

_BATCH = 500


class Deployments:
    def __init__(self, *, changes: Changes) -> None:
        self._changes = changes

    def page(
        self, transaction: Transaction, place: str, service: str, *, after: str, limit: int, known: frozenset[str]
    ) -> LevelPage[DeploymentOrdered]:
        """What a service should hold, by certificate id, those after an id."""
        placed = transaction.placements.ordered_at(place, service, after=after, limit=limit)
        ids = sorted({item.placement.certificate_id for item in placed})

        def build() -> list[DeploymentOrdered]:
            rollouts = _held_parts(transaction, [item.placement for item in placed], ids)
            kinds = placed[0].kinds if placed else None
            carried = {(place, service): kinds} if kinds is not None else {}
            return [item.order for _, item in self._of(transaction, rollouts, carried, place, service)]

        facts = [(*_ordered(item.placement), *item.facts) for item in placed]
        return page_unless_known(facts, build, further=ids[-1] if len(ids) == limit else None, known=known)

    def wanted_csrs(
        self, transaction: Transaction, place: str, service: str, *, after: str, limit: int, known: frozenset[str]
    ) -> LevelPage[CsrWanted]:
        """The signing requests that a service's targets should offer, by certificate id, those after an id."""
        wanted = transaction.signing_requests.wanted_at(place, service, after=after, limit=limit)
        ids = sorted({request.certificate_id for request in wanted})
        certificates = {item.id: item for item in transaction.certificates.many(ids)} if ids else {}
        placements = transaction.placements.of(ids) if ids else {}
        found = []
        for request in wanted:
            own = tuple(placements[request.certificate_id])
            rollout = Rollout(certificates[request.certificate_id], (), own, ())
            placement = rollout.placement(request.target)
            asked = wanted_csr(rollout, placement, request) if placement is not None else None
            if asked is not None:
                found.append(asked.event)
        return page_of(found, further=ids[-1] if len(ids) == limit else None, known=known)

    def order_again(self, transaction: Transaction, place: str, service: str, *, kinds: Iterable[str]) -> int:
        """Order what a service should hold on targets of these kinds; returns how many certificates that concerns."""
        kinds, after, ordered = list(kinds), "", 0
        while True:
            ids = transaction.placements.certificates_at(place, service, kinds=kinds, after=after, limit=_BATCH)
            rollouts = transaction.rollouts.many(transaction.certificates.many(ids))
            carried = transaction.services.carried()
            for rollout, item in self._of(transaction, rollouts, carried, place, service):
                self._changes.announce(transaction, rollout.certificate, (item,))
                ordered += 1
            if len(ids) < _BATCH:
                return ordered
            after = ids[-1]

    def _of(
        self, transaction: Transaction, rollouts: Sequence[Rollout], carried: Carried, place: str, service: str
    ) -> list[tuple[Rollout, Deployment]]:
        pairs = {
            (rollout.certificate.id, revision.number, revision.variant)
            for rollout in rollouts
            for revision in rollout.variants
        }
        recipient = recipient_name(place, service)
        sealed = transaction.revisions.sealed_keys(pairs, recipient=recipient)
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


def _held_parts(transaction: Transaction, placements: Sequence[Placement], ids: Sequence[str]) -> list[Rollout]:
    """The certificates with these placements and the revisions that they want, and with nothing else."""
    wanted = {(item.certificate_id, item.wanted, item.variant) for item in placements if item.wanted is not None}
    revisions = transaction.revisions.some(wanted)
    own: dict[str, list[Placement]] = defaultdict(list)
    for placement in placements:
        own[placement.certificate_id].append(placement)
    return [
        Rollout(certificate, tuple(revisions[certificate.id]), tuple(own[certificate.id]), ())
        for certificate in transaction.certificates.unjudged(ids)
    ]


def _ordered(placement: Placement) -> tuple[object, ...]:
    """The part of a placement that is ordered, without what was reported of it."""
    return (
        placement.certificate_id,
        placement.target,
        placement.kind,
        placement.variant,
        placement.generation,
        str(placement.action),
        placement.wanted,
    )

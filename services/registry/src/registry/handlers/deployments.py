"""What a service of a place should hold, as a level: read at its start, and ordered again where that is needed."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import structlog

from certcore.errors import PermanentError
from certcore.events import CsrWanted, DeploymentOrdered
from certcore.identities import recipient_name
from registry.adapters.store import Transaction
from registry.adapters.store.placements import Placed
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
_REMEMBERED: Final = 4096
"""Orders of all services that are kept as they were built."""


Facts = tuple[tuple[object, ...], ...]
"""All that an order shows follows from them."""


class Deployments:
    def __init__(self, *, changes: Changes) -> None:
        self._changes = changes
        self._built: dict[tuple[str, str, str], tuple[Facts, DeploymentOrdered]] = {}
        """By place, service and certificate: the last order that was listed, and the facts that it follows from. Of a
        page mostly one certificate changed since it was read last.
        """

    def page(
        self, transaction: Transaction, place: str, service: str, *, after: str, limit: int, known: frozenset[str]
    ) -> LevelPage[DeploymentOrdered]:
        """What a service should hold, by certificate id, those after an id."""
        placed = transaction.placements.ordered_at(place, service, after=after, limit=limit)
        of: dict[str, list[Placed]] = defaultdict(list)
        for item in placed:
            of[item.placement.certificate_id].append(item)
        ids = sorted(of)
        facts = {
            certificate_id: tuple((*_ordered(item.placement), *item.facts) for item in own)
            for certificate_id, own in of.items()
        }

        def build() -> list[DeploymentOrdered]:
            found = self._known(place, service, facts)
            news = [item.placement for item in placed if item.placement.certificate_id not in found]
            if news:
                rollouts = _held_parts(transaction, news, sorted({item.certificate_id for item in news}))
                carried = {(place, service): kinds} if (kinds := placed[0].kinds) is not None else {}
                orders = self._of(transaction, rollouts, carried, place, service)
                made = {rollout.certificate.id: item.order for rollout, item in orders}
                self._remember(place, service, facts, made)
                found |= made
            return [found[certificate_id] for certificate_id in ids if certificate_id in found]

        every = (fact for certificate_id in ids for fact in facts[certificate_id])
        return page_unless_known(every, build, further=ids[-1] if len(ids) == limit else None, known=known)

    def _known(self, place: str, service: str, facts: Mapping[str, Facts]) -> dict[str, DeploymentOrdered]:
        """By certificate, the orders that were built from the same facts."""
        found: dict[str, DeploymentOrdered] = {}
        for certificate_id, present in facts.items():
            before = self._built.get((place, service, certificate_id))
            if before is not None and before[0] == present:
                found[certificate_id] = before[1]
        return found

    def _remember(
        self, place: str, service: str, facts: Mapping[str, Facts], made: Mapping[str, DeploymentOrdered]
    ) -> None:
        if len(self._built) + len(made) > _REMEMBERED:
            # Pages are read one after the other, all of them: whatever is dropped is wanted next.
            self._built.clear()
        for certificate_id, order in made.items():
            self._built[place, service, certificate_id] = (facts[certificate_id], order)

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

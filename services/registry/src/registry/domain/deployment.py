"""Deployments: what one service of one place is ordered to hold of a certificate."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from certcore.bundles import SealedKey, digest
from certcore.errors import PermanentError
from certcore.events import DeploymentOrdered
from certcore.placements import PLATFORM, Action, PlacementOrder
from registry.domain.placement import Placement
from registry.domain.revision import Revision
from registry.domain.rollout import Rollout
from registry.domain.site import Carried

__all__ = ["Deployment", "SealedKeys", "carries", "deployment", "deployments"]

SealedKeys = Mapping[tuple[int, str, str], SealedKey]
"""Sealed keys by revision, variant and recipient."""


@dataclass(frozen=True)
class Deployment:
    """What one service of a place is ordered to do."""

    place: str
    service: str
    order: DeploymentOrdered


def carries(placement: Placement, carried: Carried) -> bool:
    """Whether the placement's service reported that it delivers this kind, or reported no kinds."""
    kinds = carried.get((placement.place, placement.service))
    return kinds is None or placement.kind in kinds


def deployments(
    rollout: Rollout, sealed: SealedKeys, carried: Carried, *, of: Iterable[Placement]
) -> tuple[Deployment, ...]:
    """The orders for each service that one of these placements belongs to.

    Raises:
        PermanentError: as `deployment`.
    """
    places = sorted({(item.place, item.service) for item in of})
    found = (deployment(rollout, sealed, carried, place=place, service=service) for place, service in places)
    return tuple(item for item in found if item is not None)


def deployment(
    rollout: Rollout, sealed: SealedKeys, carried: Carried, *, place: str, service: str
) -> Deployment | None:
    """All that one service of a place should hold of the certificate; None where that is nothing, or nothing that it
    delivers to.

    Raises:
        PermanentError: a recipient has no sealed key of a revision that it should hold.
    """
    certificate = rollout.certificate
    targets = {target.name: target for target in certificate.intent.targets}
    orders = []
    for placement in rollout.placements:
        at_hand = (placement.place, placement.service) == (place, service) and placement.target in targets
        if not at_hand or placement.generation == 0 or not carries(placement, carried):
            continue
        if placement.action is Action.WITHDRAW:
            orders.append(
                PlacementOrder(
                    target=targets[placement.target],
                    generation=placement.generation,
                    action=Action.WITHDRAW,
                    variant=placement.variant,
                )
            )
            continue
        # An action of a newer version is not ordered.
        revision = rollout.revision(placement.wanted or 0, placement.variant) if placement.is_wanted else None
        if revision is None:
            continue
        orders.append(
            PlacementOrder(
                target=targets[placement.target],
                generation=placement.generation,
                revision=revision.number,
                variant=revision.variant,
                fingerprint_sha256=revision.fingerprint_sha256,
                serial=revision.serial,
                not_after=revision.not_after,
                bundle_sha256=digest(revision.chain_pem, _sealed(certificate.name, revision, placement, sealed)),
            )
        )
    if not orders:
        return None
    order = DeploymentOrdered(
        certificate_id=certificate.id,
        name=certificate.name,
        placements=tuple(orders),
        traceparent=certificate.traceparent,
    )
    return Deployment(place, service, order)


def _sealed(name: str, revision: Revision, placement: Placement, sealed: SealedKeys) -> SealedKey | None:
    if revision.variant != PLATFORM:
        return None
    key = sealed.get((revision.number, revision.variant, placement.recipient))
    if key is None:
        raise PermanentError(f"revision {revision.number} of {name} is not sealed to {placement.recipient}")
    return key

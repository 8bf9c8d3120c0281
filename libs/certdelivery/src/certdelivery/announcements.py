"""The summary of a target as the event that the registry receives. Pure."""

from typing import TypedDict

from certcore.events import (
    DeliveryFailed,
    DeliveryProgressed,
    DeliveryRolledBack,
    DeliverySucceeded,
    DeliveryWithdrawn,
    PlacementReport,
)
from certdelivery.model import Held, Wanted
from certdelivery.placements import Placement
from certdelivery.rollup import Fails, Holds, HoldsNewer, Progresses, RolledBack, Summary

__all__ = ["announcement"]


def announcement(placement: Placement, summary: Summary) -> PlacementReport | DeliveryWithdrawn | None:
    """None where there is nothing that the registry could make use of."""
    match summary:
        case Holds(repaired):
            return _held(placement, repaired=repaired)
        case HoldsNewer(held):
            return _newer(placement, held)
        case Fails(reason, detail, next_try, _):
            return DeliveryFailed(**_about(placement), reason=reason, detail=detail, next_try=next_try)
        case Progresses(progress):
            return DeliveryProgressed(
                **_about(placement), step=progress.step, detail=progress.detail, next_look=progress.next_look
            )
        case RolledBack(held, reason, detail):
            return DeliveryRolledBack(
                **_about(placement),
                held_revision=held.revision,
                held_fingerprint_sha256=held.fingerprint_sha256,
                reason=reason,
                detail=detail,
            )


def _held(placement: Placement, *, repaired: bool) -> DeliverySucceeded | DeliveryWithdrawn:
    if isinstance(placement.asked, Wanted):
        fingerprint = placement.asked.fingerprint_sha256
        return DeliverySucceeded(**_about(placement), fingerprint_sha256=fingerprint, repaired=repaired)
    return DeliveryWithdrawn(
        certificate_id=placement.certificate_id, target=placement.target, generation=placement.generation
    )


def _newer(placement: Placement, held: Held) -> DeliverySucceeded | None:
    """Reports the generation that is held, not the ordered one: the registry may have lost it."""
    generation = held.order
    if held.revision is None or generation is None:
        return None
    return DeliverySucceeded(
        certificate_id=placement.certificate_id,
        target=placement.target,
        generation=generation,
        revision=held.revision,
        variant=placement.variant,
        fingerprint_sha256=held.fingerprint_sha256,
    )


class _About(TypedDict):
    certificate_id: str
    target: str
    generation: int
    revision: int
    variant: str


def _about(placement: Placement) -> _About:
    return _About(
        certificate_id=placement.certificate_id,
        target=placement.target,
        generation=placement.generation,
        revision=placement.revision,
        variant=placement.variant,
    )

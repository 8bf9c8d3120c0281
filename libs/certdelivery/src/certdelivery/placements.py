"""The placements of an order, each checked before a driver gets it. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from certcore.events import DeliveryReason, DeploymentOrdered
from certcore.names import is_label, subject_token
from certcore.placements import PLATFORM, Action, PlacementOrder
from certcore.reading import Unreadable
from certdelivery.model import Destination, Failure, Wanted, Withdrawal
from certdelivery.target import AnyDriver, Destinations

__all__ = ["Key", "Placement", "placements_of", "reportable"]

Key = tuple[str, str]
"""Certificate id and name of the target."""

_MAX_REVISION: Final = 10**9
_UNNAMED: Final = "unknown"


@dataclass(frozen=True)
class Placement:
    """One target of an order. `asked` is None where the order can't be carried out; `failures` have the reasons.

    Two that order the same are equal, whatever their trace.
    """

    certificate_id: str
    name: str
    target: str
    kind: str
    generation: int
    revision: int
    variant: str
    asked: Wanted | Withdrawal | None
    bundle_sha256: str = ""
    destinations: tuple[Destination, ...] = ()
    failures: tuple[Failure, ...] = ()
    traceparent: str | None = field(default=None, compare=False)

    @property
    def key(self) -> Key:
        return (self.certificate_id, self.target)


def reportable(certificate_id: str) -> bool:
    """Whether a report about this certificate can be made: its id becomes part of a subject."""
    return subject_token(certificate_id)


def placements_of(
    order: DeploymentOrdered,
    *,
    place: str,
    drivers: Mapping[str, AnyDriver],
    configured: Mapping[str, Collection[str]],
) -> tuple[Placement, ...]:
    """Every placement of an order, also those that can't be carried out, so that each is reported."""
    found = [_placement(order, item, place, drivers, configured) for item in order.placements]
    return _one_each([*found, *(_unreadable(order, item) for item in order.unreadable)])


def _one_each(found: list[Placement]) -> tuple[Placement, ...]:
    """Where several items name one target, the highest generation counts, and the fault is reported with it."""
    kept: dict[Key, Placement] = {}
    for placement in found:
        known = kept.setdefault(placement.key, placement)
        if known is not placement:
            chosen, other = (placement, known) if placement.generation > known.generation else (known, placement)
            twice = (Failure(DeliveryReason.UNREADABLE_ORDER, "the order names this target twice"),)
            kept[placement.key] = replace(chosen, failures=(*chosen.failures, *(other.failures or twice)))
    return tuple(kept.values())


def _placement(
    order: DeploymentOrdered,
    item: PlacementOrder,
    place: str,
    drivers: Mapping[str, AnyDriver],
    configured: Mapping[str, Collection[str]],
) -> Placement:
    target = item.target
    problem = _problem(order, item)
    asked = None if problem else _asked(order, item, place)
    if asked is None:
        return _refused(order, item, DeliveryReason.UNREADABLE_ORDER, problem or "it doesn't say what is wanted")
    driver = drivers.get(target.kind)
    if driver is None:
        kinds = ", ".join(sorted(drivers)) or "none"
        detail = f"targets of kind {target.kind[:64]!r} are not delivered here, but: {kinds}"
        return _refused(order, item, DeliveryReason.UNKNOWN_KIND, detail)
    found = _destinations(driver, item, configured.get(target.kind, ()))
    return Placement(
        certificate_id=order.certificate_id,
        name=order.name,
        target=target.name,
        kind=target.kind,
        generation=item.generation,
        revision=item.revision or 0,
        variant=item.variant,
        asked=asked,
        bundle_sha256=item.bundle_sha256 or "",
        destinations=tuple(Destination(target.kind, name) for name in dict.fromkeys(found.found)),
        failures=found.failures,
        traceparent=order.traceparent,
    )


def _destinations(driver: AnyDriver, item: PlacementOrder, configured: Collection[str]) -> Destinations:
    try:
        return driver.destinations(item.target, configured)
    except Exception as error:  # noqa: BLE001 # drivers come from other packages: a fault of one must not stop the others
        detail = f"the driver of kind {driver.kind} failed: {type(error).__name__}"
        return Destinations((), (Failure(DeliveryReason.UNREADABLE_ORDER, detail),))


def _problem(order: DeploymentOrdered, item: PlacementOrder) -> str | None:
    """Why an order must not be carried out: its values become paths, names and commands."""
    if not is_label(order.name):
        return f"{order.name!r:.80} is no name of a certificate"
    if not is_label(item.target.name):
        return f"{item.target.name!r:.80} is no name of a target"
    if not subject_token(item.variant):
        return f"{item.variant!r:.80} is no variant"
    if item.generation < 0:
        return f"{item.generation} is no generation"
    if item.action not in list(Action):
        return f"the action {item.action!r:.80} is not known here"
    return None


def _asked(order: DeploymentOrdered, item: PlacementOrder, place: str) -> Wanted | Withdrawal | None:
    if item.action == Action.WITHDRAW:
        return Withdrawal(order.certificate_id, order.name, item.target, place, item.generation)
    revision, fingerprint, serial, not_after = item.revision, item.fingerprint_sha256, item.serial, item.not_after
    if revision is None or fingerprint is None or serial is None or not_after is None or not item.bundle_sha256:
        return None
    if not 0 < revision < _MAX_REVISION:
        return None
    return Wanted(
        certificate_id=order.certificate_id,
        name=order.name,
        target=item.target,
        place=place,
        generation=item.generation,
        revision=revision,
        variant=item.variant,
        fingerprint_sha256=fingerprint,
        serial=serial,
        not_after=not_after,
    )


def _refused(order: DeploymentOrdered, item: PlacementOrder, reason: DeliveryReason, detail: str) -> Placement:
    return Placement(
        certificate_id=order.certificate_id,
        name=order.name,
        target=item.target.name[:64],
        kind=item.target.kind,
        generation=item.generation,
        revision=item.revision or 0,
        variant=item.variant,
        asked=None,
        failures=(Failure(reason, detail),),
        traceparent=order.traceparent,
    )


def _unreadable(order: DeploymentOrdered, item: Unreadable) -> Placement:
    return Placement(
        certificate_id=order.certificate_id,
        name=order.name,
        target=item.name or _UNNAMED,
        kind=_UNNAMED,
        generation=item.generation or 0,
        revision=0,
        variant=PLATFORM,
        asked=None,
        failures=(Failure(DeliveryReason.UNREADABLE_ORDER, f"{item.item}: {item.problem}"),),
        traceparent=order.traceparent,
    )

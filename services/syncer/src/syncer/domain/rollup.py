"""What a target's places together say: a target holds a revision only where all its places do."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from certcore.events import DeliveryReason
from syncer.domain.placement import Place
from syncer.domain.target import Failure

__all__ = ["AtPlace", "Fails", "Holds", "rollup"]

_NAMED: Final = 3
_DETAIL_LENGTH: Final = 500
_WORST_FIRST: Final = (
    # What a person must mend comes before what mends itself.
    DeliveryReason.BUNDLE_INVALID,
    DeliveryReason.CONFLICT,
    DeliveryReason.REFUSED,
    DeliveryReason.UNKNOWN_PLACE,
    DeliveryReason.RELOAD_FAILED,
    DeliveryReason.NOT_SERVED,
    DeliveryReason.BUNDLE_UNAVAILABLE,
    DeliveryReason.UNREACHABLE,
)


@dataclass(frozen=True)
class AtPlace:
    """The outcome of the last look at one place; `repaired` where it had lost or changed the revision."""

    repaired: bool = False
    failures: tuple[Failure, ...] = ()
    next_try: datetime | None = None

    @property
    def holds(self) -> bool:
        return not self.failures


@dataclass(frozen=True)
class Holds:
    repaired: bool


@dataclass(frozen=True)
class Fails:
    """`next_try` is the first one where several places fail."""

    reason: DeliveryReason
    detail: str
    next_try: datetime | None


def rollup(outcomes: Mapping[Place, AtPlace | None], *, unknown: str | None) -> Holds | Fails | None:
    """None while nothing failed and a place was not looked at yet."""
    failures = [failure for outcome in outcomes.values() if outcome for failure in outcome.failures]
    if unknown is not None:
        failures.append(Failure(DeliveryReason.UNKNOWN_PLACE, unknown))
    if failures:
        tries = [outcome.next_try for outcome in outcomes.values() if outcome and outcome.next_try]
        worst = min(failures, key=lambda failure: _WORST_FIRST.index(failure.reason))
        return Fails(worst.reason, _described(failures), min(tries, default=None))
    known = [outcome for outcome in outcomes.values() if outcome is not None]
    if len(known) < len(outcomes):
        return None
    return Holds(repaired=any(outcome.repaired for outcome in known))


def _described(failures: list[Failure]) -> str:
    ordered = sorted(failures, key=lambda failure: (_WORST_FIRST.index(failure.reason), failure.detail))
    named = "; ".join(failure.detail for failure in ordered[:_NAMED])
    rest = len(failures) - _NAMED
    more = f"; and {rest} more" if rest > 0 else ""
    return named[: _DETAIL_LENGTH - len(more)] + more

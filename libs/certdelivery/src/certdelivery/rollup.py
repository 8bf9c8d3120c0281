"""The summary of a target over its destinations: it holds a revision only where all of them do. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from certcore.events import DeliveryReason
from certdelivery.model import Destination, Failure, Held, Progress

__all__ = [
    "AtDestination",
    "Fails",
    "Holds",
    "HoldsNewer",
    "Progresses",
    "RolledBack",
    "Summary",
    "already_reported",
    "rollup",
]

_NAMED: Final = 3
_DETAIL_LENGTH: Final = 500
_WORST_FIRST: Final = (
    # What a person must repair comes before what may end by itself.
    DeliveryReason.UNREADABLE_ORDER,
    DeliveryReason.UNKNOWN_KIND,
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
class AtDestination:
    """The outcome of the last inspection of one destination; `repaired` where it had lost or changed the revision.

    `restored` is what was put back because the revision could not be proven; `newer` is what it holds of a higher
    generation than the ordered one.
    """

    repaired: bool = False
    failures: tuple[Failure, ...] = ()
    next_try: datetime | None = None
    progress: Progress | None = None
    restored: Held | None = None
    newer: Held | None = None

    @property
    def holds(self) -> bool:
        return not self.failures and self.progress is None


@dataclass(frozen=True)
class Holds:
    """Every destination holds the revision; for a withdrawal, none holds the certificate."""

    repaired: bool = False


@dataclass(frozen=True)
class HoldsNewer:
    held: Held


@dataclass(frozen=True)
class Fails:
    """`next_try` is the earliest of all destinations that fail. `out`: they can't be reached, each as a whole."""

    reason: DeliveryReason
    detail: str
    next_try: datetime | None
    out: bool = False


@dataclass(frozen=True)
class Progresses:
    """The progress of the first destination that isn't done."""

    progress: Progress


@dataclass(frozen=True)
class RolledBack:
    held: Held
    reason: DeliveryReason
    detail: str


Summary = Holds | HoldsNewer | Fails | Progresses | RolledBack


def rollup(
    outcomes: Mapping[Destination, AtDestination | None], failures: tuple[Failure, ...] = ()
) -> Summary | None:
    """`failures` are those of the target as a whole. None while nothing failed and one was not looked at yet."""
    known = [outcome for outcome in outcomes.values() if outcome is not None]
    all_failures = [*failures, *(failure for outcome in known for failure in outcome.failures)]
    if all_failures:
        worst = min(all_failures, key=lambda failure: _WORST_FIRST.index(failure.reason))
        restored = [outcome.restored for outcome in known if outcome.restored is not None]
        if restored:
            return RolledBack(restored[0], worst.reason, _described(all_failures))
        tries = [outcome.next_try for outcome in known if outcome.next_try]
        out = all(failure.out for failure in all_failures)
        return Fails(worst.reason, _described(all_failures), min(tries, default=None), out)
    if len(known) < len(outcomes):
        return None
    progress = next((outcome.progress for outcome in known if outcome.progress is not None), None)
    if progress is not None:
        return Progresses(progress)
    newer = [outcome.newer for outcome in known if outcome.newer is not None]
    if newer:
        return HoldsNewer(max(newer, key=lambda held: held.order or 0))
    return Holds(repaired=any(outcome.repaired for outcome in known))


def already_reported(reported: Summary | None, summary: Summary) -> bool:
    """Whether this was reported before. Each failed try is reported, and of a slow delivery each step; that a
    destination is out of reach only once.
    """
    if isinstance(reported, Progresses) and isinstance(summary, Progresses):
        before, now = reported.progress, summary.progress
        return (before.step, before.detail) == (now.step, now.detail)
    if isinstance(reported, Fails) and isinstance(summary, Fails) and summary.out:
        return replace(reported, next_try=summary.next_try) == summary
    return reported == summary


def _described(failures: list[Failure]) -> str:
    ordered = sorted(failures, key=lambda failure: (_WORST_FIRST.index(failure.reason), failure.detail))
    named = "; ".join(failure.detail for failure in ordered[:_NAMED])
    rest = len(failures) - _NAMED
    more = f"; and {rest} more" if rest > 0 else ""
    return named[: _DETAIL_LENGTH - len(more)] + more

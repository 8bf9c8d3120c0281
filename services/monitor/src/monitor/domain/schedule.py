"""When an endpoint is looked at next. Every answer is jittered, so that looks don't come all at once."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from certcore.events import ServingVerdict

__all__ = ["NextLook", "Pace", "Periods", "first_look", "next_look"]

_CONFIRM_WITHIN: Final = timedelta(seconds=3)
_DEAD_WITHIN: Final = 1.5
"""Periods. What was seen three periods ago shows nothing any more: a dead endpoint must be looked at before that."""

_STARTS_PER_SECOND: Final = 50


class Pace(StrEnum):
    CONFIRMING = "confirming"
    ROLLING_OUT = "rolling_out"
    ROUTINE = "routine"
    BACKED_OFF = "backed_off"


@dataclass(frozen=True)
class Periods:
    """`routine` is the longest time between two looks where nothing is new, `grace` what a rollout may take."""

    routine: timedelta
    rollout: timedelta
    grace: timedelta


@dataclass(frozen=True)
class NextLook:
    after: timedelta
    pace: Pace


def next_look(
    *,
    verdict: ServingVerdict,
    bad_looks: int,
    rollout_age: timedelta,
    dead_looks: int,
    periods: Periods,
    jitter: float,
) -> NextLook:
    """`bad_looks` and `dead_looks` count looks in a row, this one included: that were bad, that saw no certificate.

    `jitter` is in [0, 1). A first bad look is soon repeated, so that a fault is known by the second.
    """
    if bad_looks == 1:
        return NextLook(min(periods.rollout, _CONFIRM_WITHIN) * (0.9 + 0.1 * jitter), Pace.CONFIRMING)
    if verdict is not ServingVerdict.WANTED and rollout_age < periods.grace:
        return NextLook(periods.rollout * (0.9 + 0.2 * jitter), Pace.ROLLING_OUT)
    spread = 0.6 + 0.4 * jitter
    if dead_looks < 2:
        return NextLook(periods.routine * spread, Pace.ROUTINE)
    return NextLook(periods.routine * _DEAD_WITHIN * spread, Pace.BACKED_OFF)


def first_look(*, endpoints: int, periods: Periods, jitter: float) -> timedelta:
    """The wait before a first look at one of so many endpoints that are all due at once, as after a restart."""
    return min(timedelta(seconds=endpoints / _STARTS_PER_SECOND), periods.routine) * jitter

"""When an endpoint is looked at next. Every answer is jittered, so that looks never come in a herd."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from certcore.events import ServingVerdict

__all__ = ["REPORT_EVERY", "NextLook", "Pace", "Periods", "first_look", "next_look"]

REPORT_EVERY: Final = timedelta(minutes=10)
"""An observation is reported at least so often, changed or not: a report may have been lost."""

_LONGEST_BACK_OFF: Final = timedelta(minutes=5)
_STARTS_PER_SECOND: Final = 50


class Pace(StrEnum):
    ROLLING_OUT = "rolling_out"
    ROUTINE = "routine"
    BACKED_OFF = "backed_off"


@dataclass(frozen=True)
class Periods:
    routine: timedelta
    rollout: timedelta
    grace: timedelta


@dataclass(frozen=True)
class NextLook:
    after: timedelta
    pace: Pace


def next_look(
    *, verdict: ServingVerdict, rollout_age: timedelta, dead_looks: int, periods: Periods, jitter: float
) -> NextLook:
    """`dead_looks` counts looks in a row, this one included, that met nobody; `jitter` is in [0, 1)."""
    if verdict is not ServingVerdict.WANTED and rollout_age < periods.grace:
        return NextLook(periods.rollout * (0.9 + 0.2 * jitter), Pace.ROLLING_OUT)
    spread = 0.8 + 0.4 * jitter
    if dead_looks < 2:
        return NextLook(periods.routine * spread, Pace.ROUTINE)
    longest = max(periods.routine, _LONGEST_BACK_OFF)
    return NextLook(min(periods.routine * (1 << min(dead_looks - 1, 10)), longest) * spread, Pace.BACKED_OFF)


def first_look(*, endpoints: int, periods: Periods, jitter: float) -> timedelta:
    """The wait before a first look at one of so many endpoints that are all due at once, as after a restart."""
    return min(timedelta(seconds=endpoints / _STARTS_PER_SECOND), periods.routine) * jitter

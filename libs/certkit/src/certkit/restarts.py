"""What becomes of a background task that ended although nobody stopped it.

| ending | fate |
|---|---|
| TransientError, or cancelled from elsewhere | started again, with growing pauses |
| another error, or it returned | the same; after `max_failures` in a row the process is given up |
| any, of a vital task | the process is given up at once |
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from certcore.backoff import delay_after
from certcore.errors import TransientError

__all__ = ["Ending", "GiveUp", "Restart", "RestartLimits", "Why", "decide", "ending_of", "round_pause"]


class Ending(StrEnum):
    """How a task ended: label of the metrics, field of the log line."""

    RETURNED = "returned"
    CANCELLED = "cancelled"
    TRANSIENT = "transient"
    UNFORESEEN = "unforeseen"


class Why(StrEnum):
    """Why the process is given up."""

    VITAL = "vital"
    TOO_MANY_FAILURES = "too_many_failures"


@dataclass(frozen=True)
class Restart:
    delay: timedelta
    ending: Ending


@dataclass(frozen=True)
class GiveUp:
    why: Why
    ending: Ending


@dataclass(frozen=True)
class RestartLimits:
    """Pauses double from `first_pause` to `longest_pause`. What ran for `settled` begins to count anew."""

    first_pause: timedelta = timedelta(seconds=1)
    longest_pause: timedelta = timedelta(seconds=15)
    settled: timedelta = timedelta(seconds=60)
    max_failures: int = 10


def ending_of(error: BaseException | None, *, cancelled: bool) -> Ending:
    if cancelled:
        return Ending.CANCELLED
    if error is None:
        return Ending.RETURNED
    return Ending.TRANSIENT if isinstance(error, TransientError) else Ending.UNFORESEEN


def decide(ending: Ending, *, failures: int, vital: bool, limits: RestartLimits) -> Restart | GiveUp:
    """`failures` counts the endings in a row, this one among them.

    What passes by itself never ends the process: a bus or a disk that is away for hours leaves it to answer 503.
    """
    if vital:
        return GiveUp(Why.VITAL, ending)
    if ending in {Ending.RETURNED, Ending.UNFORESEEN} and failures >= limits.max_failures:
        return GiveUp(Why.TOO_MANY_FAILURES, ending)
    delay = delay_after(failures, jitter=0.0, first=limits.first_pause, longest=limits.longest_pause)
    return Restart(delay, ending)


def round_pause(*, every_s: float, took_s: float, failures: int, jitter: float) -> float:
    """Seconds until the next round, after so many failures in a row.

    After a failure the pause counts from its end, however long it took: whoever is too busy to answer isn't asked
    again at once.
    """
    if failures == 0:
        return max(every_s - took_s, 0.0)
    return min(every_s, delay_after(failures, jitter=jitter).total_seconds())

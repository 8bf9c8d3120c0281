"""A CA that is away is asked by one job at a time, ever more rarely, until it answers.

Closed, every job may ask. After several failures in a row, of whatever jobs, it opens: nobody asks until `look_at`;
then it is half open: one job asks. Any answer closes it; a further failure opens it for longer.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from issuer.domain.failure import FailureReason

__all__ = ["ANSWERS", "CLOSED", "TROUBLES", "Breaker", "BreakerRule", "Position", "after_trouble", "position"]

TROUBLES: Final = frozenset({FailureReason.CA_UNREACHABLE, FailureReason.CA_TROUBLE})
"""What tells of the CA and not of one job: no answer in time, or an error of its own."""
ANSWERS: Final = frozenset(
    {
        FailureReason.CA_REFUSED,
        FailureReason.ACCOUNT_REFUSED,
        FailureReason.NAME_REJECTED,
        FailureReason.CAA_FORBIDS,
        FailureReason.NAME_NOT_PROVEN,
        FailureReason.NAME_UNREACHABLE,
        FailureReason.RATE_LIMITED,
        FailureReason.ORDER_INVALID,
        FailureReason.ORDER_DENIED,
    }
)
"""What only a CA that is there can say. Whatever else fails tells nothing of it."""
_LONGEST_ASKED: Final = timedelta(minutes=10)


class Position(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True)
class BreakerRule:
    """It opens after so many `failures` in a row, for `first`, then twice as long each time up to `longest`."""

    failures: int = 5
    first: timedelta = timedelta(seconds=5)
    longest: timedelta = timedelta(minutes=1)


@dataclass(frozen=True)
class Breaker:
    """`failures` in a row; since it opened: `away_since`, when the next may ask, and how long it is open now."""

    failures: int = 0
    away_since: datetime | None = None
    look_at: datetime | None = None
    pause: timedelta = timedelta()


CLOSED: Final = Breaker()


def position(breaker: Breaker, now: datetime) -> Position:
    if breaker.look_at is None:
        return Position.CLOSED
    return Position.OPEN if now < breaker.look_at else Position.HALF_OPEN


def after_trouble(
    breaker: Breaker, *, now: datetime, rule: BreakerRule, retry_after: timedelta | None = None
) -> Breaker:
    """What was asked before it opened and fails only now opens it for no longer. A CA that says for how long it is
    away is believed for a while.
    """
    failures = breaker.failures + 1
    asked = min(retry_after or timedelta(), _LONGEST_ASKED)
    match position(breaker, now):
        case Position.CLOSED if failures < rule.failures:
            return replace(breaker, failures=failures)
        case Position.CLOSED:
            return Breaker(failures, now, now + max(rule.first, asked), rule.first)
        case Position.OPEN:
            return replace(breaker, failures=failures)
        case Position.HALF_OPEN:
            pause = min(breaker.pause * 2, rule.longest)
            return replace(breaker, failures=failures, look_at=now + max(pause, asked), pause=pause)

"""When an order is looked at while its CA works on it.

A few quick looks are made at once; whoever needs longer waits by timer, and takes no slot. The first look comes when
orders of that CA usually moved lately, whatever it asks for: a quick CA is done by then, and a slow one isn't asked
in vain. From then on its Retry-After counts.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

__all__ = ["Pace", "delay_before_look", "learned", "wait_by_timer"]

_FIRST: Final = 0.05
_QUICK_S: Final = 2.0
"""So long the quick looks take in all."""
_GROWTH: Final = 3.0
_STEP: Final = 1.4
_SHORTEST_WAIT: Final = timedelta(seconds=1)
_LONGEST_WAIT: Final = timedelta(minutes=10)
_LONGEST_ASKED: Final = timedelta(hours=1)


@dataclass(frozen=True)
class Pace:
    """Seconds after which half of the orders of a CA had moved lately."""

    usual: float = _FIRST


def learned(pace: Pace, *, moved: bool) -> Pace:
    """`moved` is whether the first look found the order moved."""
    usual = pace.usual / _STEP if moved else pace.usual * _STEP
    return Pace(min(max(usual, _FIRST), _QUICK_S))


def delay_before_look(look: int, *, elapsed: float, retry_after: timedelta | None, pace: Pace) -> float | None:
    """Seconds to wait before look number `look`, counted from 1; None where it is to be made by timer."""
    if look == 1:
        return min(max(pace.usual, _FIRST), _QUICK_S)
    asked = retry_after.total_seconds() if retry_after is not None else 0.0
    delay = max(elapsed * (_GROWTH - 1), _FIRST, asked)
    return delay if elapsed + delay <= _QUICK_S else None


def wait_by_timer(waited: timedelta, *, retry_after: timedelta | None) -> timedelta:
    """How long until the next look by timer, of an order that was waited for so long."""
    own = min(max(waited / 2, _SHORTEST_WAIT), _LONGEST_WAIT)
    return max(own, min(retry_after or own, _LONGEST_ASKED))

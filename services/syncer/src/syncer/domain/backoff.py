"""When work that failed is tried again."""

from datetime import timedelta
from typing import Final

__all__ = ["delay_after"]

_FIRST: Final = timedelta(seconds=1)
_LONGEST: Final = timedelta(seconds=60)
"""A namespace that was made by hand meanwhile gets its certificate within a minute."""


def delay_after(failures: int, *, jitter: float, retry_after: timedelta | None = None) -> timedelta:
    """Doubles with each failure in a row (from 1) up to a minute, of which `jitter` (0 to 1) takes away up to half.

    Where the other side named a wait, it is kept to.
    """
    doublings: int = min(max(failures, 1) - 1, 30)
    delay = min(_FIRST * (1 << doublings), _LONGEST)
    delay -= delay / 2 * jitter
    return max(delay, retry_after) if retry_after is not None else delay

"""When work that failed is tried again."""

from datetime import timedelta
from typing import Final

__all__ = ["delay_after", "named_wait"]

_FIRST: Final = timedelta(seconds=1)
_LONGEST: Final = timedelta(minutes=5)


def delay_after(
    failures: int,
    *,
    jitter: float,
    first: timedelta = _FIRST,
    longest: timedelta = _LONGEST,
    retry_after: timedelta | None = None,
) -> timedelta:
    """Doubles with each failure in a row (from 1) up to `longest`, of which `jitter` (0 to 1) takes away up to half.

    So what failed together doesn't come back together. Where the other side named a wait, it is kept to.
    """
    doublings = min(max(failures, 1) - 1, 30)
    delay = min(first * (1 << doublings), longest) * (1 - jitter / 2)
    return max(delay, retry_after) if retry_after is not None else delay


def named_wait(header: str | None, *, most: timedelta = _LONGEST) -> timedelta | None:
    """What a Retry-After of the registry names, which is always in seconds; None where there is none to read."""
    if header is None or not (header.isascii() and header.isdigit()):
        return None
    return min(timedelta(seconds=int(header[:9])), most)

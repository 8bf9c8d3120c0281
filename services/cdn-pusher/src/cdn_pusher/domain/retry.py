from datetime import timedelta
from typing import Final

__all__ = ["retry_delay"]

_FIRST: Final = timedelta(seconds=1)
_LONGEST: Final = timedelta(minutes=5)


def retry_delay(tries: int, *, jitter: float) -> timedelta:
    """How long to wait after the `tries`-th failure in a row (from 1): doubling, from about 1 s up to 5 min.

    `jitter` in [0, 1) shortens it by up to half, so that targets that failed together don't return together.
    """
    doublings = min(tries - 1, 20)
    return min(_FIRST * (1 << doublings), _LONGEST) * (1 - jitter / 2)

"""How long to wait between two looks at an order.

The first look comes soon whatever the CA asks for: a quick CA is done by then, and a slow one is asked once more
than it wished. From then on its Retry-After counts.
"""

from datetime import timedelta
from typing import Final

__all__ = ["delay_before_look"]

_FIRST: Final = 0.05
_GROWTH: Final = 1.6
_LONGEST: Final = 3.0
_LONGEST_ASKED: Final = 10.0


def delay_before_look(look: int, *, retry_after: timedelta | None) -> float:
    """Seconds to wait before look number `look`, counted from 1."""
    delay = min(_FIRST * _GROWTH ** min(look - 1, 20), _LONGEST)
    if look == 1 or retry_after is None:
        return delay
    return max(delay, min(retry_after.total_seconds(), _LONGEST_ASKED))

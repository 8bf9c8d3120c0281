"""Time is passed in: decisions take an instant, and only `app.py` reads the machine's clock."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Returns the present instant, always aware and in UTC."""


def system_clock() -> datetime:
    return datetime.now(UTC)

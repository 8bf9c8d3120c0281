"""Spans of time as people type and read them."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from certbus.errors import CommandError
from certbus.exit_codes import ExitCode

__all__ = ["from_now", "instant", "read_span"]

_SPAN: Final = re.compile(
    r"(?:(?P<days>\d{1,5})d)?(?:(?P<hours>\d{1,4})h)?(?:(?P<minutes>\d{1,6})m)?(?:(?P<seconds>\d{1,8})s?)?", re.ASCII
)
_UNITS: Final = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))


def read_span(text: str) -> timedelta:
    """Read `90`, `90s`, `5m`, `1h30m` or `20d`.

    Raises:
        CommandError: it is none of these, or no time at all.
    """
    found = _SPAN.fullmatch(text)
    parts = {unit: int(count) for unit, count in found.groupdict(default="0").items()} if found else {}
    span = timedelta(**parts)
    if not span:
        raise CommandError(
            f"{text!r} is no span of time",
            exit_code=ExitCode.INVALID,
            next_step="give one such as 90s, 5m, 1h30m or 20d",
        )
    return span


def from_now(then: datetime, now: datetime) -> str:
    """`in 23 d`, `in 47 h`, `3 min ago`: at least two of a unit, rounded towards now."""
    seconds = int(abs(then - now).total_seconds())
    unit, length = next(((unit, length) for unit, length in _UNITS if seconds >= 2 * length), _UNITS[-1])
    size = f"{seconds // length} {unit}"
    return f"in {size}" if then >= now else f"{size} ago"


def instant(then: datetime) -> str:
    """ISO 8601 in UTC to the second, as it can be pasted into other tools."""
    return then.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

"""Spans of time as a policy file has them: a whole number and one unit."""

import re
from datetime import timedelta
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, PlainSerializer

__all__ = ["Span", "span_text"]

_UNITS: Final = {"d": 86400, "h": 3600, "m": 60}
_SPAN: Final = re.compile(r"([1-9][0-9]{0,5})([dhm])", re.ASCII)


def _read(value: Any) -> timedelta:
    found = _SPAN.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("is no span of time: give a whole number and d, h or m, such as 14d")
    return timedelta(seconds=int(found[1]) * _UNITS[found[2]])


def span_text(span: timedelta) -> str:
    """The same in its largest whole unit."""
    seconds = int(span.total_seconds())
    unit, length = next((unit, length) for unit, length in _UNITS.items() if seconds % length == 0 or unit == "m")
    return f"{seconds // length}{unit}"


Span = Annotated[timedelta, BeforeValidator(_read), PlainSerializer(span_text)]
"""`14d`, `36h` or `90m`."""

"""Patterns of DNS names in settings: `example.org` is that name alone, `*.example.org` everything below it."""

import re
from typing import Annotated, Final

from pydantic import AfterValidator

__all__ = ["ANY_NAME", "NamePattern", "matches_pattern", "specificity"]

ANY_NAME: Final = ""
"""The pattern that matches whatever no other one does."""

_PATTERN: Final = re.compile(r"(\*\.)?([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def _checked(pattern: str) -> str:
    lowered = pattern.lower()
    if len(lowered) > 253 or not _PATTERN.fullmatch(lowered):
        raise ValueError("must be a DNS name, or `*.` and a DNS name")
    return lowered


NamePattern = Annotated[str, AfterValidator(_checked)]


def matches_pattern(name: str, pattern: str) -> bool:
    """A wildcard is below its domain: `*.example.org` matches it, `example.org` doesn't."""
    if pattern.startswith("*."):
        return name.endswith(pattern[1:])
    return pattern in {ANY_NAME, name}


def specificity(name: str, pattern: str) -> tuple[int, int]:
    """Of two patterns that match a name, the greater one is the more specific."""
    return (1 if pattern == name else 0, pattern.count(".") + 1 if pattern else 0)

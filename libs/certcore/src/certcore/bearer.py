"""The form of a bearer token."""

import re
from typing import Final

__all__ = ["is_bearer"]

_BEARER: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")


def is_bearer(text: str) -> bool:
    """Whether it is one by RFC 6750 §2.1. Anything else would end up in the words of an HTTP library's error."""
    return _BEARER.fullmatch(text) is not None

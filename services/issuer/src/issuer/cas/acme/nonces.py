"""Nonces that a CA gave and nobody used yet (RFC 8555 §6.5)."""

import re
from collections import deque
from typing import Final, TypeGuard

__all__ = ["NoncePool", "readable"]

_MOST: Final = 128
_FORM: Final = re.compile(r"[A-Za-z0-9_-]{1,512}", re.ASCII)


class NoncePool:
    """The newest is taken first, as a CA forgets the oldest first; what is too much is forgotten here, too."""

    def __init__(self, most: int = _MOST) -> None:
        self._kept: deque[str] = deque(maxlen=most)

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, nonce: str | None) -> None:
        """One that isn't base64url is none: no JWS can carry it."""
        if readable(nonce):
            self._kept.append(nonce)

    def take(self) -> str | None:
        return self._kept.pop() if self._kept else None


def readable(nonce: str | None) -> TypeGuard[str]:
    return nonce is not None and _FORM.fullmatch(nonce) is not None

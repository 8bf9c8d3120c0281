"""Requests under a key of the caller's choice (Idempotency-Key): whose it is, and what the same key again means."""

import hashlib
import json
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from registry.domain.access import Principal
from registry.domain.errors import ConflictError

__all__ = [
    "KEPT_FOR",
    "KEPT_OF_ONE",
    "Answer",
    "AtWorkError",
    "KeptAnswer",
    "KeyedCall",
    "Repeat",
    "is_key",
    "repeat_of",
]

KEPT_FOR: Final = timedelta(hours=24)
KEPT_OF_ONE: Final = 1000
"""Answers of one principal; of more, the oldest are forgotten before their time."""

_LONGEST: Final = 255


class AtWorkError(ConflictError):
    """The first request under this key has no answer yet."""

    retry_after = timedelta(seconds=1)


@dataclass(frozen=True)
class Answer:
    """What a change is answered with: it holds no secret, for it may be kept."""

    status: int
    body: str
    location: str = ""


@dataclass(frozen=True)
class KeyedCall:
    """A request under a key. The key is the caller's alone, and of this method and path alone."""

    principal: str
    scope: str
    fingerprint: str

    @classmethod
    def of(cls, caller: Principal, *, method: str, path: str, query: bytes, body: bytes, key: str) -> "KeyedCall":
        return cls(
            principal=_hash(caller.issuer, caller.subject),
            scope=_hash(caller.issuer, caller.subject, method, path, key),
            fingerprint=_hash(query.hex(), hashlib.sha256(body).hexdigest()),
        )


@dataclass(frozen=True)
class KeptAnswer:
    fingerprint: str
    answer: Answer


class Repeat(StrEnum):
    FIRST = "first"
    SAME = "same"
    OTHER = "other"


def repeat_of(call: KeyedCall, kept: KeptAnswer | None) -> Repeat:
    if kept is None:
        return Repeat.FIRST
    return Repeat.SAME if kept.fingerprint == call.fingerprint else Repeat.OTHER


def is_key(text: str) -> bool:
    return 0 < len(text) <= _LONGEST and text.isascii() and text.isprintable()


def _hash(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

"""What a dead letter keeps of its message: as much as its stream takes, so that it can always be set aside."""

from collections.abc import Mapping
from typing import Final

from certkit.bounds import LETTER_BODY, LETTER_HEADERS

__all__ = ["LEFT_OUT", "fitted"]

LEFT_OUT: Final = "certbus-left-out"
"""Header that tells what was too large. Without its body a letter can't be replayed; what is that large can be read
as a level."""

_LONGEST_VALUE: Final = 200
_ROOM: Final = LETTER_HEADERS - 500
_KNOWN: Final = frozenset(
    {
        *("ce-specversion", "ce-id", "ce-source", "ce-type", "ce-time", "ce-subject", "ce-datacontenttype"),
        *("certbus-durable", "certbus-fate", "certbus-error", "certbus-subject"),
        *("content-type", "nats-msg-id"),
    }
)


def fitted(body: bytes, headers: Mapping[str, str]) -> tuple[bytes, dict[str, str]]:
    """Body and headers of the letter. Of headers that are too large only the known ones are kept, and cut."""
    kept, left_out = dict(headers), []
    if len(body) > LETTER_BODY:
        left_out.append(f"body of {len(body)} bytes")
        body = b""
    if _size(kept) > _ROOM:
        left_out.append(f"headers of {_size(kept)} bytes")
        kept = {name: _cut(value) for name, value in kept.items() if name.lower() in _KNOWN}
    if left_out:
        kept[LEFT_OUT] = ", ".join(left_out)
    return body, kept


def _cut(value: str) -> str:
    return value.encode()[:_LONGEST_VALUE].decode(errors="ignore")


def _size(headers: Mapping[str, str]) -> int:
    return sum(len(name.encode()) + len(value.encode()) + 4 for name, value in headers.items())

"""Lists in pages: an opaque cursor names the last item, so that no item is shown twice while rows come and go."""

import base64
import binascii
import json
from datetime import UTC, datetime
from typing import Annotated, Final

from fastapi import Query

from certcore.rejection import RejectedError, Rejection

__all__ = ["MOST", "After", "Limit", "cursor_of", "read_cursor", "read_instant"]

MOST: Final = 500

Limit = Annotated[int, Query(ge=1, le=MOST, description="Items of one page.")]
After = Annotated[str | None, Query(description="The `next` of the page before.")]


def cursor_of(of: str, *key: str) -> str:
    """A cursor for the item with this key in the list of this name."""
    return base64.urlsafe_b64encode(json.dumps((of, *key)).encode()).rstrip(b"=").decode()


def read_cursor(of: str, cursor: str | None, *, parts: int = 1) -> tuple[str, ...]:
    """The key that a cursor names; empty strings without one.

    Raises:
        RejectedError: it is none that a page of this list gave.
    """
    if cursor is None:
        return ("",) * parts
    try:
        padded = cursor.encode() + b"=" * (-len(cursor) % 4)
        key = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        key = None
    match key:
        case [name, *rest] if name == of and len(rest) == parts and all(map(_is_text, rest)):
            return tuple(rest)
    raise RejectedError([Rejection(field="after", message="is no cursor of this list: give the next of a page")])


def read_instant(part: str) -> datetime:
    """An instant in a cursor.

    Raises:
        RejectedError: it is none.
    """
    try:
        return _aware(datetime.fromisoformat(part))
    except (ValueError, OverflowError):
        raise RejectedError([Rejection(field="after", message="is no cursor of this list")]) from None


def _aware(instant: datetime) -> datetime:
    if instant.tzinfo is None:
        raise ValueError("has no time zone")
    return instant.astimezone(UTC)


def _is_text(part: object) -> bool:
    # Half a surrogate pair or a zero byte is in no key, and not every database takes it.
    return isinstance(part, str) and "\x00" not in part and not any("\ud800" <= sign <= "\udfff" for sign in part)

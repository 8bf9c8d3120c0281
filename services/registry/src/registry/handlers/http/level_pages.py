"""Pages of levels over HTTP: with an ETag, and without a body where the caller has it (RFC 9110, 13.1.2)."""

from collections.abc import Callable
from typing import Annotated, Any, Final, TypeVar

from fastapi import Depends, Header, Response, status
from pydantic import BaseModel

from certcore.api import Page
from registry.handlers.http.paging import cursor_of
from registry.handlers.levels import LevelPage

__all__ = ["KnownETags", "level_response"]

ItemT = TypeVar("ItemT", bound=BaseModel)

_MOST: Final = 20


async def _known(if_none_match: Annotated[str | None, Header()] = None) -> frozenset[str]:
    etags = (if_none_match or "").split(",", _MOST)[:_MOST]
    return frozenset(etag.strip().removeprefix("W/") for etag in etags)


KnownETags = Annotated[frozenset[str], Depends(_known)]
"""Of the pages that the caller has."""


def level_response(name: str, make: Callable[..., Page[Any]], page: LevelPage[ItemT]) -> Response:
    """A page of the list of this name, made of `items` and `next`; beside the database, off the event loop."""
    headers = {"etag": page.etag, "cache-control": "no-cache"}
    if page.items is None:
        return Response(status_code=status.HTTP_304_NOT_MODIFIED, headers=headers)
    # Not by way of FastAPI, which would check and copy each item once more.
    body = make(items=page.items, next=cursor_of(name, page.further) if page.further else None)
    return Response(body.model_dump_json(), media_type="application/json", headers=headers)

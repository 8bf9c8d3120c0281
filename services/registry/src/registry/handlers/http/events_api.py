"""The log of events as server-sent events: follow it live, or go on after the last one that was seen."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Header, Query, Response, status
from fastapi.responses import StreamingResponse
from starlette.types import Send

from certcore.replay import Replay, ReplayOrder
from registry.handlers.http.auth import Operator, Viewer
from registry.handlers.http.followed import Followed
from registry.handlers.replay import Replays

__all__ = ["events_router"]

_HEADERS: Final = {"cache-control": "no-cache", "x-accel-buffering": "no"}
_DESCRIBED: Final[dict[str, Any]] = {
    "responses": {
        "200": {
            "content": {
                "text/event-stream": {
                    "itemSchema": {
                        "type": "object",
                        "properties": {name: {"type": "string"} for name in ("data", "event", "id")},
                    }
                }
            }
        }
    }
}


class _Stream(StreamingResponse):
    """Ends what it is made of where its reader leaves, wherever that is met."""

    media_type = "text/event-stream"

    def __init__(self, blocks: AsyncGenerator[bytes]) -> None:
        super().__init__(blocks, headers=_HEADERS)
        self._blocks = blocks

    async def stream_response(self, send: Send) -> None:
        async with aclosing(self._blocks):
            await super().stream_response(send)


def events_router(*, followed: Followed, replays: Replays) -> APIRouter:
    router = APIRouter(prefix="/v1/events", tags=["events"])

    @router.get("", status_code=status.HTTP_200_OK, response_class=_Stream, openapi_extra=_DESCRIBED)
    async def follow(
        caller: Viewer,
        last_event_id: Annotated[str | None, Header()] = None,
        since: Annotated[Literal["start", "now"], Query()] = "start",
    ) -> Response:
        """CloudEvents as JSON, oldest first. `Last-Event-ID` continues after it; `since=now` starts at the end.

        Callers get what their own team owns; operators, approvers and auditors get everything.
        """
        return _Stream(followed.events(caller, last_event_id=last_event_id, since=since))

    @router.post("/replay")
    async def replay(order: ReplayOrder, caller: Operator, *, dry_run: Annotated[bool, Query()] = False) -> Replay:
        """Publish stored events again; who reads them knows each by its id. A dry run only tells which."""
        return await replays.replay(order, person=caller.subject, dry_run=dry_run)

    return router

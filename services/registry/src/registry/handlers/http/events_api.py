"""The log of events as server-sent events: follow it live, or go on after the last one that was seen."""

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, Header, Query
from fastapi.sse import EventSourceResponse, ServerSentEvent

from registry.adapters.outbox import Bell
from registry.adapters.store import Store
from registry.adapters.store.events import StoredEvent
from registry.domain.access import sees
from registry.handlers.http.auth import Viewer

__all__ = ["events_router"]

_BATCH = 200

ResultT = TypeVar("ResultT")


def events_router(*, store: Store, bell: Bell) -> APIRouter:
    router = APIRouter(prefix="/v1/events", tags=["events"])
    looks: set[asyncio.Task[Any]] = set()

    async def whole(look: Coroutine[Any, Any, ResultT]) -> ResultT:
        # When a client disconnects, its stream is cancelled at any point. Inside of a transaction the driver would
        # never close the connection, and SQLite's lock would be held: so each query is finished in the background.
        task = asyncio.create_task(look)
        looks.add(task)
        task.add_done_callback(looks.discard)
        return await asyncio.shield(task)

    @router.get("", response_class=EventSourceResponse)
    async def follow(
        caller: Viewer,
        last_event_id: Annotated[str | None, Header()] = None,
        since: Annotated[Literal["start", "now"], Query()] = "start",
    ) -> AsyncIterator[ServerSentEvent]:
        """CloudEvents as JSON, oldest first. `Last-Event-ID` continues after it; `since=now` starts at the end.

        Callers get what their own team owns; operators, approvers and auditors get everything.
        """
        start = await whole(_start(store, last_event_id, since))
        if start is not None:
            # An id without data: a client that loses the connection before the first event continues from here.
            yield ServerSentEvent(id=start.id)
        cursor = start.sequence if start else 0
        while not bell.silenced:
            events = await whole(_events(store, cursor))
            for event in events:
                cursor = event.sequence
                data = json.loads(event.data)
                if sees(caller, data.get("owner", "")):
                    yield ServerSentEvent(raw_data=_cloud_event(event, data), event=event.type, id=event.id)
            if not events:
                await bell.wait(1.0)

    return router


async def _start(store: Store, last_event_id: str | None, since: str) -> StoredEvent | None:
    """The event after which to continue; None for the beginning."""
    async with store.transaction() as transaction:
        known = await transaction.events.get(last_event_id) if last_event_id else None
        if known is None and since == "now":
            return await transaction.events.last()
        return known


async def _events(store: Store, cursor: int) -> list[StoredEvent]:
    async with store.transaction() as transaction:
        return await transaction.events.after(cursor, _BATCH)


def _cloud_event(event: StoredEvent, data: object) -> str:
    return json.dumps(
        {
            "specversion": "1.0",
            "id": event.id,
            "source": event.source,
            "type": event.type,
            "time": event.time.isoformat(),
            "subject": event.about,
            "datacontenttype": "application/json",
            "data": data,
        }
    )

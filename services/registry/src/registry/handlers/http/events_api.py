"""The log of events as server-sent events: follow it live, or go on after the last one that was seen."""

import json
from collections.abc import AsyncIterator
from typing import Annotated, Literal

from fastapi import APIRouter, Header, Query
from fastapi.sse import EventSourceResponse, ServerSentEvent

from registry.adapters.outbox import Bell
from registry.adapters.store import Store, StoredEvent
from registry.handlers.http.auth import Viewer

__all__ = ["events_router"]

_BATCH = 200


def events_router(*, store: Store, bell: Bell) -> APIRouter:
    router = APIRouter(prefix="/v1/events", tags=["events"])

    @router.get("", response_class=EventSourceResponse)
    async def follow(
        _: Viewer,
        last_event_id: Annotated[str | None, Header()] = None,
        since: Annotated[Literal["start", "now"], Query()] = "start",
    ) -> AsyncIterator[ServerSentEvent]:
        """CloudEvents as JSON, oldest first. `Last-Event-ID` goes on behind it; `since=now` starts at the end."""
        cursor = await _cursor(store, last_event_id, since)
        while True:
            async with store.transaction() as transaction:
                events = await transaction.events_after(cursor, _BATCH)
            for event in events:
                cursor = event.sequence
                yield ServerSentEvent(raw_data=_cloud_event(event), event=event.type, id=event.id)
            if not events:
                await bell.wait(1.0)

    return router


async def _cursor(store: Store, last_event_id: str | None, since: str) -> int:
    async with store.transaction() as transaction:
        if last_event_id:
            known = await transaction.sequence_of(last_event_id)
            if known is not None:
                return known
        return await transaction.last_sequence() if since == "now" else 0


def _cloud_event(event: StoredEvent) -> str:
    return json.dumps(
        {
            "specversion": "1.0",
            "id": event.id,
            "source": event.source,
            "type": event.type,
            "time": event.time.isoformat(),
            "subject": event.about,
            "datacontenttype": "application/json",
            "data": json.loads(event.data),
        }
    )

"""The log of events as server-sent events: follow it live, or go on after the last one that was seen."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Header, Query
from fastapi.sse import EventSourceResponse, ServerSentEvent

from certcore.clock import Clock
from certcore.replay import Replay, ReplayOrder
from registry.adapters.outbox import Bell
from registry.adapters.store import Store, Transaction
from registry.adapters.store.events import StoredEvent
from registry.domain.access import sees
from registry.handlers.feed import Feed
from registry.handlers.http.auth import Authenticator, Operator, Viewer
from registry.handlers.replay import Replays

__all__ = ["events_router"]

_BATCH: Final = 200
_LOOK_AGAIN: Final = timedelta(minutes=1)
"""So long somebody may follow after their token has ended."""


def events_router(
    *, store: Store, feed: Feed, bell: Bell, replays: Replays, authenticator: Authenticator, clock: Clock
) -> APIRouter:
    router = APIRouter(prefix="/v1/events", tags=["events"])

    @router.get("", response_class=EventSourceResponse)
    async def follow(
        caller: Viewer,
        last_event_id: Annotated[str | None, Header()] = None,
        since: Annotated[Literal["start", "now"], Query()] = "start",
    ) -> AsyncIterator[ServerSentEvent]:
        """CloudEvents as JSON, oldest first. `Last-Event-ID` continues after it; `since=now` starts at the end.

        Callers get what their own team owns; operators, approvers and auditors get everything.
        """
        looked = clock()
        with feed.following():
            start, settled = await _start(store, last_event_id, since)
            if start is not None:
                if not settled:
                    await feed.reached(start.sequence)
                # An id without data: a client that loses the connection before the first event continues from here.
                yield ServerSentEvent(id=start.id)
            cursor = start.sequence if start else 0
            while not bell.silenced:
                if clock() - looked >= _LOOK_AGAIN:
                    looked = clock()
                    if not await authenticator.still_opens(caller):
                        return
                events = await feed.after(cursor, limit=_BATCH)
                for event in events:
                    cursor = event.sequence
                    data = json.loads(event.data)
                    if sees(caller, data.get("owner", "")):
                        yield ServerSentEvent(raw_data=_cloud_event(event, data), event=event.type, id=event.id)
                if not events:
                    await feed.wait()

    @router.post("/replay")
    async def replay(order: ReplayOrder, caller: Operator, *, dry_run: Annotated[bool, Query()] = False) -> Replay:
        """Publish stored events again; who reads them knows each by its id. A dry run only tells which."""
        return await replays.replay(order, person=caller.subject, dry_run=dry_run)

    return router


async def _start(store: Store, last_event_id: str | None, since: str) -> tuple[StoredEvent | None, bool]:
    """The event after which to continue, None for the beginning; and whether none can come any more before it."""

    def work(transaction: Transaction) -> tuple[StoredEvent | None, bool]:
        known = transaction.events.get(last_event_id) if last_event_id else None
        if known is None and since == "now":
            return transaction.events.last(), transaction.events.snapshot().nobody_writes
        # Who was given it was given all before it.
        return known, True

    return await store.read(work)


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

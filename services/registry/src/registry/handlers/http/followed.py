"""The log of events as whoever follows it is told: in blocks of server-sent events, made once for all."""

import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Final

from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event

from certcore.clock import Clock
from registry.adapters.outbox import Bell
from registry.adapters.store import Store, Transaction
from registry.adapters.store.events import StoredEvent
from registry.domain.access import Principal, sees
from registry.handlers.feed import Feed
from registry.handlers.http.auth import Authenticator

__all__ = ["Followed"]

_BATCH: Final = 200
_LOOK_AGAIN: Final = timedelta(minutes=1)
"""So long somebody may follow after their token has ended."""
_SILENT: Final = timedelta(seconds=15)
"""After so long a connection that carries nothing may be taken for a dead one."""
_TOLD: Final = 2000
"""Events, as many as the feed keeps."""


@dataclass(frozen=True)
class _Told:
    owner: str
    block: bytes


class Followed:
    def __init__(self, *, store: Store, feed: Feed, bell: Bell, authenticator: Authenticator, clock: Clock) -> None:
        self._store = store
        self._feed = feed
        self._bell = bell
        self._authenticator = authenticator
        self._clock = clock

    async def events(self, caller: Principal, *, last_event_id: str | None, since: str) -> AsyncGenerator[bytes]:
        """Blocks of the stream, oldest event first: what the caller sees of what comes after an event."""
        looked = told = self._clock()
        with self._feed.following():
            start, settled = await _start(self._store, last_event_id, since)
            if start is not None:
                if not settled:
                    await self._feed.reached(start.sequence)
                # An id without data: a client that loses the connection before the first event continues from here.
                yield format_sse_event(id=start.id)
            cursor = start.sequence if start else 0
            while not self._bell.silenced:
                now = self._clock()
                if now - looked >= _LOOK_AGAIN:
                    looked = now
                    if not await self._authenticator.still_opens(caller):
                        return
                events = await self._feed.after(cursor, limit=_BATCH)
                # What came together is told together: for each of many followers it is one thing to send.
                seen = b"".join(one.block for one in map(_told, events) if sees(caller, one.owner))
                if events:
                    cursor = events[-1].sequence
                if not seen and now - told >= _SILENT:
                    seen = KEEPALIVE_COMMENT
                if seen:
                    told = now
                    yield seen
                if not events:
                    await self._feed.wait()


async def _start(store: Store, last_event_id: str | None, since: str) -> tuple[StoredEvent | None, bool]:
    """The event after which to continue, None for the beginning; and whether none can come any more before it."""

    def work(transaction: Transaction) -> tuple[StoredEvent | None, bool]:
        known = transaction.events.get(last_event_id) if last_event_id else None
        if known is None and since == "now":
            return transaction.events.last(), transaction.events.snapshot().nobody_writes
        # Who was given it was given all before it.
        return known, True

    return await store.read(work)


@lru_cache(maxsize=_TOLD)
def _told(event: StoredEvent) -> _Told:
    data = json.loads(event.data)
    text = json.dumps(
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
    return _Told(data.get("owner", ""), format_sse_event(data_str=text, event=event.type, id=event.id))

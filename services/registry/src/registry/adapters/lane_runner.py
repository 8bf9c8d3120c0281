"""Publishes the events of one lane, many in flight."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

import structlog

from certcore.cloudevents import stored_headers
from certcore.errors import PermanentError, TransientError
from registry.adapters.jetstream import JetStream, Stored
from registry.adapters.store.events import StoredEvent
from registry.domain.lane import Key, Lane

__all__ = ["LaneRunner"]

log = structlog.get_logger()

_ANSWER_S: Final = 5.0


class LaneRunner:
    """`more`: the outbox has other events of the lane; they are wanted when fewer than `low` are left."""

    def __init__(
        self,
        stream: str,
        *,
        jetstream: JetStream,
        lane: Lane[StoredEvent],
        low: int,
        stored: Callable[[StoredEvent], None],
        hungry: Callable[[], None],
        lower: Callable[[], None],
    ) -> None:
        self._stream = stream
        self._jetstream = jetstream
        self.lane = lane
        self._low = low
        self.more = False
        self.highest = 0
        """The highest sequence that the stream told since it was made."""
        self._made = 0
        self._stored = stored
        self._hungry = hungry
        self._lower = lower
        self._answers: dict[Key, asyncio.Future[Stored]] = {}
        self._wake = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def add(self, events: Sequence[StoredEvent]) -> None:
        if events:
            self.lane.add(events)
            self._wake.set()

    def restarted(self) -> None:
        """Sequences begin again; answers to what is in flight now tell nothing of them."""
        self._made += 1
        self.highest = 0

    async def run(self) -> None:
        try:
            while True:
                self._wake.clear()
                await self._publish()
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._patience()):
                        await self._wake.wait()
                self._give_up_overdue()
                if self.more and len(self.lane) < self._low and self.lane.parked is None:
                    self.more = False
                    self._hungry()
        finally:
            for answer in self._answers.values():
                answer.cancel()

    async def _publish(self) -> None:
        for event in self.lane.take(self._loop.time()):
            try:
                answer = await self._jetstream.publish(
                    event.data.encode(), subject=event.subject, stream=event.stream, headers=_headers(event)
                )
            except TransientError as error:
                self._fail(event, str(error))
                continue
            except PermanentError as error:
                self._refuse(event, str(error))
                continue
            self._answers[_key(event)] = answer
            answer.add_done_callback(partial(self._answered, event, (self._made, self.highest)))

    def _patience(self) -> float | None:
        now = self._loop.time()
        times = [_ANSWER_S / 5] if self._answers else []
        look = self.lane.next_look()
        if look is not None:
            times.append(max(look - now, 0.01))
        return min(times, default=None)

    def _give_up_overdue(self) -> None:
        now = self._loop.time()
        for event in self.lane.overdue(now - _ANSWER_S):
            answer = self._answers.pop(_key(event), None)
            if answer is not None:
                answer.cancel()
            self._fail(event, f"no answer within {_ANSWER_S:g} s")

    def _answered(self, event: StoredEvent, before: tuple[int, int], answer: asyncio.Future[Stored]) -> None:
        self._answers.pop(_key(event), None)
        self._wake.set()
        if answer.cancelled():
            return
        error = answer.exception()
        if isinstance(error, PermanentError):
            self._refuse(event, str(error))
        elif error is not None:
            self._fail(event, str(error))
        else:
            self._store(event, before, answer.result())

    def _store(self, event: StoredEvent, before: tuple[int, int], stored: Stored) -> None:
        was = self.lane.parked
        self.lane.stored(event)
        self._stored(event)
        if was is not None:
            log.info("lane_goes_on", stream=self._stream)
        made, highest = before
        if stored.duplicate or made != self._made:
            return
        if stored.sequence <= highest:
            self._lower()
        self.highest = max(self.highest, stored.sequence)

    def _fail(self, event: StoredEvent, reason: str) -> None:
        was = self.lane.parked
        self.lane.failed(event, reason, self._loop.time())
        if was is None and self.lane.parked is not None:
            log.warning("lane_parked", stream=self._stream, reason=reason, event_id=event.id)

    def _refuse(self, event: StoredEvent, reason: str) -> None:
        self.lane.refused(event, self._loop.time())
        log.error("event_refused", stream=self._stream, reason=reason, event_id=event.id, event_type=event.type)


def _headers(event: StoredEvent) -> dict[str, str]:
    headers = stored_headers(
        event_type=event.type, event_id=event.id, source=event.source, time=event.time, about=event.about
    )
    if event.repeats:
        # The stream may remember the id and have lost the event.
        headers["Nats-Msg-Id"] = f"{event.id}.{event.repeats}"
    if event.traceparent:
        headers["traceparent"] = event.traceparent
    return headers


def _key(event: StoredEvent) -> Key:
    return event.sequence, event.repeats

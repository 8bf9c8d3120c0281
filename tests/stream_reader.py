"""Reads what services published, as somebody who subscribed before the test began."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

import nats
from nats.aio.subscription import Subscription

from certcore.events import Event
from tests.patience import HANG_S

__all__ = ["Published", "StreamReader", "stream_reader"]

EventT = TypeVar("EventT", bound=Event)


@dataclass(frozen=True)
class Published:
    subject: str
    headers: dict[str, str]
    body: bytes

    @property
    def trace_id(self) -> str:
        return self.headers["traceparent"].split("-")[1]


class StreamReader:
    """`published` grows as messages come."""

    def __init__(self, subscription: Subscription) -> None:
        self.published: list[Published] = []
        self._subscription = subscription
        self._taken: set[int] = set()
        self._stored: set[str] = set()

    def all(self, kind: type[EventT]) -> list[EventT]:
        return [kind.model_validate_json(message.body) for message in self._of(kind)]

    async def next(
        self, kind: type[EventT], *, where: Callable[[EventT], bool] = lambda _: True, within_s: float = HANG_S
    ) -> tuple[EventT, Published]:
        """The first event of a type that fits and was not taken before."""
        async with asyncio.timeout(within_s):
            while True:
                for number, message in enumerate(self.published):
                    if number in self._taken or message.headers.get("ce-type") != kind.type:
                        continue
                    event = kind.model_validate_json(message.body)
                    if where(event):
                        self._taken.add(number)
                        return event, message
                await self._read()

    async def settle(self, for_s: float) -> None:
        """Read all that comes within a time."""
        try:
            async with asyncio.timeout(for_s):
                while True:
                    await self._read()
        except TimeoutError:
            return

    def _of(self, kind: type[Event]) -> list[Published]:
        return [message for message in self.published if message.headers.get("ce-type") == kind.type]

    async def _read(self) -> None:
        message = await self._subscription.next_msg(timeout=None)
        headers = dict(message.headers or {})
        # As a stream does: what comes again under its id is not stored.
        if headers["Nats-Msg-Id"] not in self._stored:
            self._stored.add(headers["Nats-Msg-Id"])
            self.published.append(Published(message.subject, headers, message.data))


@asynccontextmanager
async def stream_reader(url: str, subject: str) -> AsyncIterator[StreamReader]:
    client = await nats.connect(url)
    try:
        # Not a consumer: a work queue has only one for each subject.
        subscription = await client.subscribe(subject)
        await client.flush()
        yield StreamReader(subscription)
    finally:
        await client.close()

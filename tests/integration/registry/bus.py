"""The bus as a provisioning tool or another service sees it: plain nats-py."""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Self, TypeVar

import nats
from nats.aio.client import Client
from nats.js.api import RawStreamMsg
from nats.js.errors import NotFoundError

from tests.patience import HANG_S

__all__ = ["Bus", "eventually"]

SUBMITTED = "certbus.request.submitted.v2"

ResultT = TypeVar("ResultT")


async def eventually(
    look: Callable[[], Awaitable[ResultT | None]], *, what: str, timeout_s: float = HANG_S
) -> ResultT:
    """The first answer that is something, or a failure that says what didn't happen."""
    deadline = time.monotonic() + timeout_s
    while True:
        found = await look()
        if found:
            return found
        assert time.monotonic() < deadline, f"{what} didn't happen within {timeout_s:g} s"
        await asyncio.sleep(0.02)


async def _ignore(_: Exception) -> None: ...


class Bus:
    def __init__(self, client: Client) -> None:
        self.client = client
        self.js = client.jetstream()
        self._stored: dict[tuple[str, str], int] = {}

    @classmethod
    @asynccontextmanager
    async def connect(cls, url: str) -> AsyncIterator[Self]:
        # Tests stop brokers: what is lost meanwhile shows in what they wait for.
        client = await nats.connect(url, error_cb=_ignore, reconnect_time_wait=0.1, max_reconnect_attempts=-1)
        try:
            yield cls(client)
        finally:
            await client.close()

    async def publish(self, subject: str, body: bytes, headers: Mapping[str, str]) -> None:
        stored = await self.js.publish(subject, body, headers=dict(headers))
        self._stored[stored.stream, subject] = stored.seq

    async def ask(
        self,
        body: bytes,
        *,
        owner: str = "shop",
        event_id: str | None = None,
        event_type: str = SUBMITTED,
        content_type: str | None = None,
    ) -> str:
        """Publish a request event as a tool would that knows nothing but NATS; returns its id."""
        event_id = event_id or str(uuid.uuid4())
        headers = {"ce-id": event_id, "ce-type": event_type}
        if content_type is not None:
            headers["content-type"] = content_type
        await self.publish(f"certs.request.{owner}.submit", body, headers)
        return event_id

    async def answer(self, token: str, *, owner: str = "shop", timeout_s: float = HANG_S) -> "Answer":
        """The stored answer, read by its subject alone."""

        async def look() -> RawStreamMsg | None:
            try:
                return await self.js.get_last_msg(f"ANSWERS_{owner}", f"certs.answer.{owner}.{token}", direct=True)
            except NotFoundError:
                return None

        return Answer(await eventually(look, what=f"an answer to {token}", timeout_s=timeout_s))

    async def asked(self, body: bytes, *, content_type: str | None = None) -> "Answer":
        return await self.answer(await self.ask(body, content_type=content_type))

    async def settled(self, stream: str, durable: str, *, timeout_s: float = HANG_S) -> None:
        """Wait until everything in the stream was handled, or was set aside."""

        async def look() -> bool:
            info = await self.js.consumer_info(stream, durable)
            # What was stored just now isn't counted as pending at once.
            delivered = info.delivered.stream_seq if info.delivered else 0
            stored = self._last_stored(stream, info.config.filter_subject or ">")
            return not (info.num_pending or info.num_ack_pending) and delivered >= stored

        await eventually(look, what=f"{durable} handled everything", timeout_s=timeout_s)

    def _last_stored(self, stream: str, filtered: str) -> int:
        """The last sequence that was published here and that a consumer reads."""
        each = (
            sequence
            for (name, subject), sequence in self._stored.items()
            if name == stream
            and (subject == filtered or (filtered.endswith(">") and subject.startswith(filtered[:-1])))
        )
        return max(each, default=0)

    async def messages(self, stream: str, subject: str = ">") -> list[RawStreamMsg]:
        """Everything that the stream holds under a subject, oldest first."""
        state = (await self.js.stream_info(stream)).state
        found: list[RawStreamMsg] = []
        sequence = state.first_seq
        while sequence <= state.last_seq:
            try:
                message = await self.js.get_msg(stream, seq=sequence, subject=subject, next=True, direct=True)
            except NotFoundError:
                break
            found.append(message)
            sequence = (message.seq or 0) + 1
        return found

    async def dead_letters(self, durable: str) -> list[RawStreamMsg]:
        return await self.messages("DLQ_hub", f"certs.dlq.hub.{durable}")


class Answer:
    """`fields` are those at fault, where it is a rejection."""

    def __init__(self, message: RawStreamMsg) -> None:
        self.type = (message.headers or {})["ce-type"]
        self.body: dict[str, Any] = json.loads(message.data or b"{}")

    @property
    def accepted(self) -> bool:
        return bool(self.type == "certbus.request.accepted.v1")

    @property
    def fields(self) -> list[str]:
        assert self.type == "certbus.request.rejected.v1", self.type
        return [error["field"] for error in self.body["errors"]]

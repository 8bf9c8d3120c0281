"""JetStream as the outbox needs it: many publishes in flight, and what became of a stream."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import nats.errors
from faststream.nats import NatsBroker
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import Header

from certcore.errors import PermanentError, TransientError

__all__ = ["ConsumerState", "JetStream", "Stored", "StreamState"]

_TIMEOUT_S: Final = 5.0
_NO_RESPONDERS: Final = "503"
_TOO_LARGE: Final = 10054
"""The broker's code for a message that is larger than its stream allows."""


@dataclass(frozen=True)
class Stored:
    """Where the stream keeps a message; a `duplicate` is an earlier one with the same message id."""

    sequence: int
    duplicate: bool


@dataclass(frozen=True)
class StreamState:
    """`created` as the broker writes it: it differs where the stream was made anew."""

    name: str
    created: str
    last_sequence: int


@dataclass(frozen=True)
class ConsumerState:
    """`delivered` is the last sequence that it was given, or was told to be beyond."""

    name: str
    delivered: int


class JetStream:
    """`open` before anything else; the broker must have been started."""

    def __init__(self, *, broker: NatsBroker) -> None:
        self._broker = broker
        self._client: Client | None = None
        self._replies = ""
        self._number = 0
        self._answers: dict[str, asyncio.Future[Stored]] = {}

    async def open(self) -> None:
        """Take answers from now on."""
        if self._client is not None:
            return
        client = await self._broker.connect()
        # One subscription for all answers; each publish has a token of its own.
        self._replies = f"{client.new_inbox()}."
        await client.subscribe(f"{self._replies}*", cb=self._take)
        self._client = client

    @property
    def reconnects(self) -> int:
        """How often the connection was lost and made again."""
        return int(self._client.stats["reconnects"]) if self._client is not None else 0

    async def publish(
        self, body: bytes, *, subject: str, stream: str, headers: Mapping[str, str]
    ) -> asyncio.Future[Stored]:
        """Send a message; what is returned ends when the stream has answered. Cancel it to wait no longer.

        It ends with TransientError where the stream didn't store it, and with PermanentError where it will never
        take this message.

        Raises:
            TransientError, PermanentError: it wasn't sent; as above.
        """
        assert self._client is not None, "open() comes first"
        self._number += 1
        token = str(self._number)
        answer: asyncio.Future[Stored] = asyncio.get_running_loop().create_future()
        self._answers[token] = answer
        answer.add_done_callback(lambda _: self._answers.pop(token, None))
        sent = False
        try:
            # The stream is named, so that no other one takes the message.
            named = {**headers, Header.EXPECTED_STREAM: stream}
            await self._client.publish(subject, body, reply=self._replies + token, headers=named)
            sent = True
        except nats.errors.MaxPayloadError:
            raise PermanentError(f"{subject} is larger than the broker allows") from None
        except nats.errors.Error as error:
            raise TransientError(f"the bus takes nothing: {type(error).__name__}") from error
        finally:
            if not sent:
                # Also where the caller was cancelled: nobody waits for an answer any more.
                answer.cancel()
        return answer

    async def _take(self, message: Msg) -> None:
        answer = self._answers.get(message.subject[len(self._replies) :])
        if answer is None or answer.done():
            return
        if message.headers and message.headers.get(Header.STATUS) == _NO_RESPONDERS:
            answer.set_exception(TransientError("no stream takes it: it is missing or has no leader"))
            return
        try:
            told = json.loads(message.data)
        except ValueError:
            answer.set_exception(TransientError("its answer can't be read"))
            return
        error = told.get("error")
        if error is None:
            answer.set_result(Stored(int(told.get("seq", 0)), bool(told.get("duplicate"))))
        elif error.get("err_code") == _TOO_LARGE:
            answer.set_exception(PermanentError(str(error.get("description"))))
        else:
            answer.set_exception(TransientError(str(error.get("description"))))

    async def all(self) -> tuple[dict[str, StreamState], frozenset[str]]:
        """Every stream by its name; and the names of those of which the broker knows nothing at the moment.

        Raises:
            TransientError: the broker didn't answer.
        """
        found: dict[str, StreamState] = {}
        silent: set[str] = set()
        offset = 0
        while True:
            page = await self._call("$JS.API.STREAM.LIST", {"offset": offset})
            streams = page.get("streams") or []
            silent.update(page.get("missing") or ())
            for item in streams:
                name = item["config"]["name"]
                found[name] = StreamState(name, item["created"], item["state"]["last_seq"])
            offset += len(streams)
            if not streams or offset >= page["total"]:
                return found, frozenset(silent)

    async def consumers(self, stream: str) -> list[ConsumerState]:
        """The consumers of a stream.

        Raises:
            TransientError: the broker didn't answer.
        """
        found: list[ConsumerState] = []
        while True:
            page = await self._call(f"$JS.API.CONSUMER.LIST.{stream}", {"offset": len(found)})
            items = page.get("consumers") or []
            found += [ConsumerState(item["name"], item["delivered"]["stream_seq"]) for item in items]
            if not items or len(found) >= page["total"]:
                return found

    async def reset(self, stream: str, consumer: str) -> None:
        """Let a consumer read its stream from the first message on.

        Raises:
            TransientError: the broker didn't do it.
        """
        await self._call(f"$JS.API.CONSUMER.RESET.{stream}.{consumer}", {"seq": 1})

    async def _call(self, subject: str, body: Mapping[str, int]) -> dict[str, Any]:
        assert self._client is not None, "open() comes first"
        try:
            reply = await self._client.request(subject, json.dumps(body).encode(), timeout=_TIMEOUT_S)
        except (nats.errors.Error, TimeoutError) as error:
            raise TransientError(f"{subject} wasn't answered: {type(error).__name__}") from error
        page: dict[str, Any] = json.loads(reply.data)
        if "error" in page:
            raise TransientError(f"{subject} was refused: {page['error'].get('description')}")
        return page

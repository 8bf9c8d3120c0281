"""What streams hold, read without a consumer: for who looks for what it has lost."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import nats.errors
import stamina
from faststream.nats import NatsBroker
from nats.aio.client import Client
from nats.aio.msg import Msg

from certcore.errors import TransientError

__all__ = ["StoredMessage", "StreamMessages"]

_TIMEOUT_S: Final = 5.0
_TRIES: Final = 6
_BATCH: Final = 200
_FAILURES: Final = (TimeoutError, nats.errors.Error)


@dataclass(frozen=True)
class StoredMessage:
    sequence: int
    subject: str
    headers: Mapping[str, str]
    body: bytes


class StreamMessages:
    """The identity needs the right to list streams, and to read each of them directly."""

    def __init__(self, broker: NatsBroker) -> None:
        self._broker = broker

    async def streams(self) -> list[str]:
        """The names of all streams.

        Raises:
            TransientError: the broker doesn't answer.
        """
        client = await self._broker.connect()
        found: list[str] = []
        while True:
            reply = await _asked(client, "$JS.API.STREAM.NAMES", {"offset": len(found)})
            page = json.loads(reply.data)
            if "error" in page:
                raise TransientError(f"the streams weren't listed: {page['error'].get('description')}")
            names = page.get("streams") or []
            found += names
            if not names or len(found) >= page["total"]:
                return found

    async def last(self, stream: str, subject: str) -> StoredMessage | None:
        """The last message with a subject, which may have wildcards; None where there is none, or no such stream.

        Raises:
            TransientError: the broker doesn't answer.
        """
        if stream not in await self.streams():
            return None
        client = await self._broker.connect()
        reply = await _asked(client, f"$JS.API.DIRECT.GET.{stream}", {"last_by_subj": subject})
        return _message(reply)

    async def all(self, stream: str, subject: str) -> AsyncIterator[StoredMessage]:
        """Every message with a subject, which may have wildcards, oldest first. The stream must exist.

        Raises:
            TransientError: the broker doesn't answer.
        """
        client = await self._broker.connect()
        following = 1
        while True:
            batch = await _batch(client, stream, subject, following)
            for message in batch:
                yield message
            if len(batch) < _BATCH:
                return
            following = batch[-1].sequence + 1


async def _asked(client: Client, subject: str, body: Mapping[str, Any]) -> Msg:
    try:
        async for attempt in stamina.retry_context(on=_FAILURES, attempts=_TRIES, wait_initial=0.2, wait_max=2.0):
            with attempt:
                return await client.request(subject, json.dumps(body).encode(), timeout=_TIMEOUT_S)
    except _FAILURES as error:
        raise TransientError(f"{subject} wasn't answered: {type(error).__name__}") from error
    raise AssertionError("the last attempt returns or raises")


async def _batch(client: Client, stream: str, subject: str, first: int) -> list[StoredMessage]:
    """One request has many answers: an empty one is the last."""
    inbox = client.new_inbox()
    answers = await client.subscribe(inbox)
    asked = {"seq": first, "next_by_subj": subject, "batch": _BATCH}
    found: list[StoredMessage] = []
    try:
        await client.publish(f"$JS.API.DIRECT.GET.{stream}", json.dumps(asked).encode(), reply=inbox)
        while (message := _message(await answers.next_msg(timeout=_TIMEOUT_S))) is not None:
            found.append(message)
    except _FAILURES as error:
        raise TransientError(f"stream {stream} wasn't read: {type(error).__name__}") from error
    finally:
        await asyncio.shield(answers.unsubscribe())
    return found


def _message(reply: Msg) -> StoredMessage | None:
    headers = dict(reply.headers or {})
    status = headers.get("Status")
    if status in {"404", "204"}:
        return None
    if status is not None:
        raise TransientError(f"{reply.subject} was refused: {status} {headers.get('Description', '')}")
    return StoredMessage(int(headers["Nats-Sequence"]), headers["Nats-Subject"], headers, reply.data)

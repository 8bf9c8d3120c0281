"""Reads consumers as they come and go: those of places and owners that were declared after a service's start.

Each is read by a task of its own, one message at a time, so none delays another: neither by many messages, nor by
slow ones, nor by its deletion.
"""

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import nats.errors
import nats.js.errors
import structlog
from faststream.nats import NatsBroker
from nats.aio.client import Client

from certcore.clock import Clock
from certcore.errors import TransientError
from certcore.events import Event
from certkit.bus import Handler, RawHandler, subscribe
from certkit.reader import Reader
from certkit.readiness import Finding

__all__ = ["Discovery", "EachConsumer", "EachStream"]

log = structlog.get_logger()

_TIMEOUT_S: Final = 5.0

Handlers = Mapping[type[Event], Handler] | RawHandler


@dataclass(frozen=True)
class EachStream:
    """The consumer `durable` of every stream whose name begins with `prefix`, so many messages at once."""

    prefix: str
    durable: str
    handlers: Handlers
    at_once: int = 1


@dataclass(frozen=True)
class EachConsumer:
    """Every consumer of a stream whose name begins with `prefix`."""

    stream: str
    prefix: str
    handlers: Handlers
    at_once: int = 1


@dataclass(frozen=True, order=True)
class _Consumer:
    stream: str
    durable: str


class Discovery:
    """The identity needs the right to list streams, and the consumers of the streams of `EachConsumer`."""

    def __init__(
        self,
        *,
        broker: NatsBroker,
        identity: str,
        rules: tuple[EachStream | EachConsumer, ...],
        clock: Clock,
        every_s: float = 10.0,
    ) -> None:
        self._broker = broker
        self._identity = identity
        self._rules = rules
        self._clock = clock
        self._every_s = every_s
        self._readers: dict[_Consumer, Reader] = {}
        self._asked = asyncio.Event()
        self._not_listed: str | None = "what the broker has was not listed yet"
        self._lacking: dict[str, datetime] = {}
        self._gone: dict[_Consumer, datetime] = {}

    @property
    def reading(self) -> list[tuple[str, str]]:
        """Stream and durable of each consumer that is read."""
        return [(consumer.stream, consumer.durable) for consumer in sorted(self._readers)]

    def findings(self) -> list[Finding]:
        """A check of `certkit.readiness`: whether the broker was listed, and has at least one stream for each rule.

        Consumers that are gone are only told: a place that was given up is no fault.
        """
        found = [Finding(check="discovery", problem=self._not_listed)]
        found += [
            Finding(check=f"stream {name}", problem="the broker has none", since=since)
            for name, since in self._lacking.items()
        ]
        return found + [
            Finding(check=f"consumer {gone.stream}/{gone.durable}", detail="is not there any more", since=since)
            for gone, since in self._gone.items()
        ]

    def look_soon(self) -> None:
        """A place or owner was declared: list now, without waiting for the next round."""
        self._asked.set()

    async def run(self) -> None:
        """List and read until cancelled; the broker must have been started."""
        while True:
            self._asked.clear()
            try:
                await self.look()
                self._not_listed = None
            except TransientError as error:
                self._not_listed = str(error)
                log.warning("consumers_not_listed", error=str(error))
            with suppress(TimeoutError):
                async with asyncio.timeout(self._every_s):
                    await self._asked.wait()

    async def look(self) -> None:
        """Begin to read new consumers, and stop reading deleted ones.

        Raises:
            TransientError: the broker didn't list its consumers; reading goes on as before.
        """
        there = await self._list()
        for consumer in there:
            self._gone.pop(consumer, None)
        gone = self._readers.keys() - there.keys()
        new = there.keys() - self._readers.keys()
        await asyncio.gather(
            *(self._leave(consumer) for consumer in gone),
            *(self._read(consumer, there[consumer]) for consumer in sorted(new)),
        )

    async def _read(self, consumer: _Consumer, rule: EachStream | EachConsumer) -> None:
        client = await self._broker.connect()
        try:
            # A stream is declared before its consumers. Without this, the client would make one of its own.
            await client.jetstream(timeout=_TIMEOUT_S).consumer_info(consumer.stream, consumer.durable)
        except nats.js.errors.NotFoundError:
            return
        except (nats.errors.Error, nats.js.errors.Error, TimeoutError) as error:
            log.warning("consumer_not_read", error=repr(error)[:300], **vars(consumer))
            return
        reader = subscribe(
            self._broker,
            stream=consumer.stream,
            durable=consumer.durable,
            identity=self._identity,
            handlers=rule.handlers,
            lasting=False,
            at_once=rule.at_once,
        )
        try:
            await reader.start()
        except (nats.errors.Error, nats.js.errors.Error, TimeoutError) as error:
            log.warning("consumer_not_read", error=repr(error)[:300], **vars(consumer))
            await reader.stop()
            return
        self._readers[consumer] = reader
        log.info("consumer_read", **vars(consumer))

    async def _leave(self, consumer: _Consumer) -> None:
        # An error of the broker doesn't matter here: the consumer is deleted.
        with suppress(nats.errors.Error):
            await self._readers.pop(consumer).stop()
        self._gone[consumer] = self._clock()
        log.info("consumer_gone", **vars(consumer))

    async def _list(self) -> dict[_Consumer, EachStream | EachConsumer]:
        client = await self._broker.connect()
        streams = await _names(client, "$JS.API.STREAM.NAMES", "streams")
        found: dict[_Consumer, EachStream | EachConsumer] = {}
        lacking = {_stream_of(rule) for rule in self._rules if not any(_fits(rule, name) for name in streams)}
        self._lacking = {name: self._lacking.get(name) or self._clock() for name in sorted(lacking)}
        for rule in self._rules:
            match rule:
                case EachStream(prefix, durable):
                    found |= {_Consumer(name, durable): rule for name in streams if name.startswith(prefix)}
                case EachConsumer(stream, prefix) if stream in streams:
                    durables = await _names(client, f"$JS.API.CONSUMER.NAMES.{stream}", "consumers")
                    found |= {_Consumer(stream, name): rule for name in durables if name.startswith(prefix)}
        return found


def _stream_of(rule: EachStream | EachConsumer) -> str:
    return f"{rule.prefix}*" if isinstance(rule, EachStream) else rule.stream


def _fits(rule: EachStream | EachConsumer, stream: str) -> bool:
    return stream.startswith(rule.prefix) if isinstance(rule, EachStream) else stream == rule.stream


async def _names(client: Client, call: str, what: str) -> list[str]:
    """A whole list; the broker gives it in pages."""
    found: list[str] = []
    while True:
        try:
            reply = await client.request(call, json.dumps({"offset": len(found)}).encode(), timeout=_TIMEOUT_S)
        except (nats.errors.Error, TimeoutError) as error:
            raise TransientError(f"{call} wasn't answered: {type(error).__name__}") from error
        page = json.loads(reply.data)
        if "error" in page:
            raise TransientError(f"{call} was refused: {page['error'].get('description')}")
        names = page.get(what) or []
        found += names
        if not names or len(found) >= page["total"]:
            return found

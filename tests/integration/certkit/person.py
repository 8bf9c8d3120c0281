"""Somebody on the bus, by a bare client."""

import asyncio
import base64
import json
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import nats
import nkeys
from nats.aio.client import Client

from tests.servers import SecuredBroker

__all__ = ["Person", "connect_bare"]


class Person:
    """A connection of one identity, and what the broker refused it."""

    def __init__(self, bus: SecuredBroker, identity: str) -> None:
        self._bus = bus
        self._identity = identity
        self.refused: list[str] = []
        self.closed = asyncio.Event()

    async def __aenter__(self) -> Self:
        self.client: Client = await nats.connect(
            self._bus.url,
            nkeys_seed=str(self._bus.seed_file(self._identity)),
            inbox_prefix=f"_INBOX.{self._identity}".encode(),
            error_cb=self._note,
            closed_cb=self._note_closed,
            allow_reconnect=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.client.close()

    async def _note(self, error: Exception) -> None:
        self.refused.append(str(error).lower())

    async def _note_closed(self) -> None:
        self.closed.set()

    async def settle(self) -> None:
        """Wait until the broker has seen all that was sent, and told what it refuses."""
        # The client's ping overtakes what it still holds back; the second one comes after it.
        await self.client.flush()
        await self.client.flush()

    async def may_publish(self, subjects: Iterable[str]) -> set[str]:
        """Those of the subjects that it may publish to."""
        before, subjects = len(self.refused), list(subjects)
        for subject in subjects:
            # No API call takes this body, so that what is allowed changes nothing.
            await self.client.publish(subject, b"no JSON")
        await self.settle()
        refused = self.refused[before:]
        return {subject for subject in subjects if not any(f'"{subject.lower()}"' in text for text in refused)}

    async def may_subscribe(self, subject: str) -> bool:
        before = len(self.refused)
        await self.client.subscribe(subject)
        await self.settle()
        return len(self.refused) == before


async def connect_bare(bus: SecuredBroker, seed_file: Path | None) -> str:
    """The broker's first answer, without a client library, which leaves refused connections open."""
    reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(bus.url).port)
    try:
        told = json.loads((await reader.readline()).removeprefix(b"INFO "))
        credentials = {}
        if seed_file is not None:
            seed = bytearray(await asyncio.to_thread(seed_file.read_bytes))
            pair = nkeys.from_seed(seed)  # type: ignore[no-untyped-call] # nkeys has no types
            signature = base64.urlsafe_b64encode(pair.sign(told["nonce"].encode()))
            credentials = {"nkey": pair.public_key.decode(), "sig": signature.decode().rstrip("=")}
        writer.write(b"CONNECT " + json.dumps({"verbose": False, **credentials}).encode() + b"\r\nPING\r\n")
        return (await asyncio.wait_for(reader.readline(), 5)).decode()
    finally:
        writer.close()
        await writer.wait_closed()

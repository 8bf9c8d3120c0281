"""A registry that takes every bundle and looks at none: what it costs is no part of what is measured."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from certcore.api import IssuedAnswer, IssueOrders
from certcore.bundles import StoredBundle

__all__ = ["QuickRegistry", "quick_registry"]

_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_STORED: Final = StoredBundle(reported=True).model_dump_json()
_LIST: Final = IssueOrders(items=[]).model_dump_json()
_NOTHING_WANTED: Final = IssuedAnswer(wanted=()).model_dump_json()


@dataclass
class QuickRegistry:
    """`taken` counts the bundles by certificate id, `chains` has the chain of each."""

    port: int = 0
    taken: Counter[str] = field(default_factory=Counter)
    chains: dict[str, str] = field(default_factory=dict)
    _came: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def wait_for(self, number: int) -> None:
        while len(self.taken) < number:
            self._came.clear()
            await self._came.wait()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = _LENGTH.search(head)
                body = await reader.readexactly(int(length[1])) if length else b""
                method, path = head.split(b" ", 2)[:2]
                answer = self._answer(method.decode(), path.decode(), body).encode()
                writer.write(
                    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(answer)
                    + answer
                )
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def _answer(self, method: str, path: str, body: bytes) -> str:
        if method == "PUT" and path.startswith("/v1/bundles/"):
            certificate_id = path.split("/")[3]
            self.taken[certificate_id] += 1
            self.chains[certificate_id] = json.loads(body)["chain_pem"]
            self._came.set()
            return _STORED
        return _NOTHING_WANTED if method == "POST" else _LIST


@asynccontextmanager
async def quick_registry() -> AsyncIterator[QuickRegistry]:
    registry = QuickRegistry()
    server = await asyncio.start_server(registry.serve, "127.0.0.1", 0)
    registry.port = server.sockets[0].getsockname()[1]
    async with server:
        yield registry

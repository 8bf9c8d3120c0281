"""A TCP port in front of a DNS server: it counts the UPDATEs that pass, and may be shut."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from tests.ports import free_port

__all__ = ["DnsProxy", "dns_proxy"]

_UPDATE: Final = 5


@dataclass
class DnsProxy:
    """`open` lets messages through; shut, every connection is closed at its first message."""

    port: int
    open: bool = True
    updates: int = 0
    largest: int = 0
    turned_away: int = 0
    server: tuple[str, int] = field(default=("127.0.0.1", 0))

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back: asyncio.Task[None] | None = None
        onward: asyncio.StreamWriter | None = None
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                size = await reader.readexactly(2)
                message = await reader.readexactly(*struct.unpack("!H", size))
                if not self.open:
                    self.turned_away += 1
                    break
                if (message[2] >> 3) & 0xF == _UPDATE:
                    self.updates += 1
                    self.largest = max(self.largest, len(message))
                if onward is None:
                    answers, onward = await asyncio.open_connection(*self.server)
                    back = asyncio.create_task(_copied(answers, writer))
                onward.write(size + message)
        if onward is not None:
            onward.close()
        if back is not None:
            back.cancel()
        writer.close()


async def _copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)


@asynccontextmanager
async def dns_proxy(*server: tuple[str, int], is_open: bool = True) -> AsyncIterator[DnsProxy]:
    proxy = DnsProxy(port=free_port(), open=is_open)
    if server:
        proxy.server = server[0]
    listener = await asyncio.start_server(proxy.serve, "127.0.0.1", proxy.port)
    try:
        yield proxy
    finally:
        listener.close()

"""Clients that never pause: each handshake is a new connection, and each must be served the right name."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from certcore.inspection import read_certificate
from certcore.names import matches

__all__ = ["Tally", "handshaking"]


@dataclass
class Tally:
    handshakes: int = 0
    failed: list[str] = field(default_factory=list)
    wrong_names: int = 0
    serials: list[str] = field(default_factory=list)
    """Each serial once, in the order in which it was first seen."""


@asynccontextmanager
async def handshaking(host: str, port: int, *, ca_file: Path, clients: int = 4) -> AsyncIterator[Tally]:
    """Shake hands with 127.0.0.1:port as `host`, verified against `ca_file`, until the block ends."""
    tally = Tally()
    stop = asyncio.Event()
    tasks = [asyncio.create_task(_client(host, port, ca_file, tally, stop)) for _ in range(clients)]
    try:
        yield tally
    finally:
        stop.set()
        await asyncio.gather(*tasks)


async def _client(host: str, port: int, ca_file: Path, tally: Tally, stop: asyncio.Event) -> None:
    context = ssl.create_default_context(cafile=ca_file)
    while not stop.is_set():
        try:
            async with asyncio.timeout(10.0):
                reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=host)
                session: ssl.SSLObject = writer.get_extra_info("ssl_object")
                leaf = read_certificate(session.getpeercert(binary_form=True) or b"")
                writer.write(f"GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n".encode())
                answer = await reader.read(64)
                writer.close()
        except (OSError, TimeoutError) as error:
            tally.failed.append(f"{type(error).__name__}: {error}")
            continue
        tally.handshakes += 1
        if not answer.startswith(b"HTTP/1.1 200"):
            tally.failed.append(f"answer {answer[:20]!r}")
        if not any(matches(host, name) for name in leaf.dns_names):
            tally.wrong_names += 1
        if leaf.serial not in tally.serials:
            tally.serials.append(leaf.serial)

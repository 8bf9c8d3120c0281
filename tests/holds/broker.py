"""What happens to a broker: its store is wiped, rots, or lacks a stream; and who speaks with it."""

import asyncio
import random
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from nats.aio.client import Client
from nats.errors import Error as NatsError

from certcore.identities import OPERATOR
from certkit.declare import declare
from certkit.topology import topology
from certlocal.errors import ProcessFailedError
from certlocal.system import LocalSystem
from tests.holds.fleet import Fleet

__all__ = ["connected", "declare_again", "kill", "lose_store", "rot", "start"]


_CONNECT_S: Final = 5.0


async def _quiet(_: Exception) -> None:
    """nats-py prints a traceback for each try; a broker that is away is what happens here."""


_COMES_BACK: Final[dict[str, Any]] = {"max_reconnect_attempts": -1, "reconnect_time_wait": 0.3, "error_cb": _quiet}


@asynccontextmanager
async def connected(system: LocalSystem, identity: str) -> AsyncIterator[Client]:
    """A connection that comes back by itself; made again and again while the broker doesn't answer."""
    while True:
        try:
            # nats-py waits for ever for the end of a connection whose TLS handshake timed out.
            async with asyncio.timeout(_CONNECT_S):
                client = await system.connect_bus(identity, **_COMES_BACK)
            break
        except (NatsError, OSError, TimeoutError):
            await asyncio.sleep(0.3)
    try:
        yield client
    finally:
        await client.close()


async def declare_again(fleet: Fleet) -> None:
    async with connected(fleet.system, OPERATOR) as client:
        await declare(client.jetstream(), topology(fleet.sites, owners=fleet.system.owners), apply=True)


def kill(system: LocalSystem) -> None:
    """SIGKILL, as in a crash."""
    system.nats.process.kill()


async def start(system: LocalSystem) -> None:
    """Start it again, as its supervisor would: also one that says that it isn't well."""
    try:
        await system.nats.start()
    except ProcessFailedError:
        if not system.nats.process.alive:
            raise
        print("  the broker runs, and says that it isn't well", flush=True)


async def lose_store(system: LocalSystem) -> None:
    """The broker crashes, and comes back without anything that it ever stored."""
    kill(system)
    # Not the folder itself: it may be a disk of its own.
    for entry in system.nats.store.iterdir():
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    await start(system)


async def rot(system: LocalSystem, seed: int, *streams: str) -> list[str]:
    """The broker crashes, a bit flips in a block of each stream, and it comes back; the files that were hit."""
    choice = random.Random(seed)
    kill(system)
    hit = []
    for stream in streams:
        blocks = [file for file in system.nats.store.glob(f"*/*/streams/{stream}/msgs/*.blk") if file.stat().st_size]
        if not blocks:
            continue
        block = choice.choice(sorted(blocks))
        content = bytearray(block.read_bytes())
        place = choice.randrange(len(content))
        content[place] ^= 1 << choice.randrange(8)
        block.write_bytes(content)
        hit.append(f"{stream}/{block.name} at {place} of {len(content)}")
    await start(system)
    return hit

"""Pushes to a HAProxy that others reload at random moments, while somebody looks what it serves."""

import asyncio
import random
import time
from dataclasses import dataclass, field

from certkit.background import end_tasks
from tests.integration.cdn_pusher.balancer import Balancer, Pusher, deliver, pem_of

__all__ = ["Watched", "push_beside_reloads"]

HOST = "shop.example.org"
FILE = "shop.pem"
_LOOK_S = 0.02


@dataclass
class Watched:
    """`wanted` are the fingerprints that may be served: what was delivered last, and what is being pushed."""

    wanted: frozenset[str] = frozenset()
    looks: int = 0
    reloads: int = 0
    stale_s: list[float] = field(default_factory=list)
    """How long each time something else was served."""

    async def look(self, edge: Balancer) -> None:
        since: float | None = None
        while True:
            seen = (await edge.served(HOST)).leaf.fingerprint_sha256
            self.looks += 1
            if seen in self.wanted:
                if since is not None:
                    self.stale_s.append(time.monotonic() - since)
                since = None
            elif since is None:
                since = time.monotonic()
            await asyncio.sleep(_LOOK_S)


async def push_beside_reloads(edge: Balancer, pusher: Pusher, *, pushes: int, choice: random.Random) -> Watched:
    """Ends when what was pushed last has been served for a while."""
    watched = Watched()
    pem = pem_of(edge.authority.issue(HOST))
    await deliver(edge.place, FILE, pem, by=pusher)
    watched.wanted = frozenset({pem.leaf.fingerprint_sha256})

    async def reload() -> None:
        while True:
            await asyncio.sleep(choice.uniform(0, 0.6))
            await edge.server.reload(timeout_s=60)
            watched.reloads += 1

    tasks = [asyncio.create_task(watched.look(edge)), asyncio.create_task(reload())]
    try:
        for _ in range(pushes):
            pem, before = pem_of(edge.authority.issue(HOST)), watched.wanted
            watched.wanted = before | {pem.leaf.fingerprint_sha256}
            await deliver(edge.place, FILE, pem, by=pusher)
            watched.wanted = frozenset({pem.leaf.fingerprint_sha256})
            await asyncio.sleep(choice.uniform(0, 0.3))
        tasks[1].cancel()
        looks = watched.looks
        while watched.looks < looks + 50:  # noqa: ASYNC110 # a look is no event
            await asyncio.sleep(_LOOK_S)
    finally:
        await end_tasks(tasks)
    assert (await edge.served(HOST)).presented == pem.presented
    return watched

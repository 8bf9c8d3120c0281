"""A disk fills up, and has room again some time later: nothing is lost, it was told, and it mends by itself."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from certlocal.system import LocalSystem
from tests.holds import broker
from tests.holds.disks import SmallDisk, mounted
from tests.holds.faces import broker_is_well, readiness
from tests.holds.figures import Figure
from tests.holds.fleet import Fleet

__all__ = ["FOLDERS", "full_disk", "supervised_broker", "with_small_disks"]

FOLDERS: Final = {
    "broker": ("nats", "jetstream"),
    "registry": ("registry",),
    "issuer": ("issuer",),
    "monitor": ("monitor",),
    "site1-syncer": ("sites", "site1"),
}
"""Where each keeps its state, below the system's home."""


@contextmanager
def with_small_disks(home: Path, *, mib: int = 24) -> Iterator[dict[str, SmallDisk]]:
    """A small disk for each of FOLDERS, by name; ends after the system has."""
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(mounted(home.joinpath(*folder), mib=mib)) for name, folder in FOLDERS.items()
        }


async def full_disk(fleet: Fleet, what: str, disk: SmallDisk, *, count: int, seconds: float) -> list[Figure]:
    """The disk of one part is full for a while; certificates are asked for before and meanwhile."""
    early = [f"before-full-{what}-{number}" for number in range(count)]
    names = [f"while-full-{what}-{number}" for number in range(count)]
    await fleet.request_all(early)
    told: set[str] = set()
    disk.fill()
    try:
        asking = asyncio.create_task(fleet.request_all(names))
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            told |= await _not_ready(fleet.system)
            await asyncio.sleep(1.0)
    finally:
        disk.free()
    began = time.monotonic()
    supervise = supervised_broker(fleet.system) if what == "broker" else None
    waiting = asyncio.create_task(fleet.live([*early, *names], supervise=supervise))
    await asyncio.gather(asking, waiting)
    took = time.monotonic() - began
    print(f"  while the disk of {what} was full, /readyz said: {sorted(told) or 'ready'}")
    await fleet.one_order_each()
    assert told, f"nobody said that the disk of {what} is full"
    return [Figure(f"disk of {what} full for {seconds:g} s, {2 * count} certificates on their way: all live", took)]


async def _not_ready(system: LocalSystem) -> set[str]:
    """What each service that isn't ready says."""
    said = {service: await readiness(system, service) for service in system.services}
    return {f"{service}: {text[:120]}" for service, (status, text) in said.items() if status != 200}


def supervised_broker(system: LocalSystem) -> Callable[[], Awaitable[None]]:
    """Restart the broker when it says of itself that it isn't well, and the registry says so too, as a supervisor."""
    since = 0.0

    async def look() -> None:
        nonlocal since
        if await broker_is_well(system):
            since = 0.0
            return
        since = since or time.monotonic()
        if time.monotonic() - since < _SUPERVISOR_WAITS_S:
            return
        status, text = await readiness(system, "registry")
        assert status != 200, "the broker is not well, and the registry says that it is ready"
        print(f"  supervisor: the broker is restarted; the registry's /readyz says {status} {text[:200]}")
        broker.kill(system)
        await broker.start(system)
        since = 0.0

    return look


_SUPERVISOR_WAITS_S: Final = 5.0

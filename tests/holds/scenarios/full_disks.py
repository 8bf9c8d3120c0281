"""A disk fills up, and has room again some time later: nothing is lost, it was told, and it mends by itself."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from certlocal.system import LocalSystem
from tests.holds import broker
from tests.holds.disks import SmallDisk, mounted
from tests.holds.faces import broker_is_well, readiness
from tests.holds.figures import Figure
from tests.holds.fleet import Fleet

__all__ = ["FOLDERS", "BrokerSupervisor", "full_disk", "with_small_disks"]

_SUPERVISOR_WAITS_S: Final = 5.0
_REGISTRY_SAYS_WITHIN_S: Final = 30.0

FOLDERS: Final = {
    "registry": ("registry",),
    "issuer": ("issuer",),
    "monitor": ("monitor",),
    "site1-syncer": ("sites", "site1"),
    "broker": ("nats", "jetstream"),
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
    supervisor = BrokerSupervisor(fleet.system)
    waiting = asyncio.create_task(fleet.live([*early, *names], supervise=supervisor.look))
    await asyncio.gather(asking, waiting)
    took = time.monotonic() - began
    print(f"  while the disk of {what} was full, /readyz said: {sorted(told) or 'ready'}")
    await fleet.one_order_each()
    assert not supervisor.unsaid, supervisor.unsaid
    assert told, f"nobody said that the disk of {what} is full"
    return [Figure(f"disk of {what} full for {seconds:g} s, {2 * count} certificates on their way: all live", took)]


async def _not_ready(system: LocalSystem) -> set[str]:
    """What each service that isn't ready says."""
    said = {service: await readiness(system, service) for service in system.services}
    return {f"{service}: {text[:120]}" for service, (status, text) in said.items() if status != 200}


class BrokerSupervisor:
    """Restarts a broker that says of itself that it isn't well, once the registry's /readyz says so too.

    Where the registry stays silent it is restarted all the same, and noted in `unsaid`.
    """

    def __init__(self, system: LocalSystem) -> None:
        self._system = system
        self._since: float | None = None
        self.unsaid: list[str] = []

    async def look(self) -> None:
        if await broker_is_well(self._system):
            self._since = None
            return
        now = time.monotonic()
        self._since = self._since or now
        if now - self._since < _SUPERVISOR_WAITS_S:
            return
        status, text = await readiness(self._system, "registry")
        if status == 200:
            if now - self._since < _REGISTRY_SAYS_WITHIN_S:
                return
            self.unsaid.append("the broker wasn't well, and the registry was ready")
        print(f"  supervisor: restarts the broker; /readyz of the registry: {status} {text[:200]}", flush=True)
        broker.kill(self._system)
        await broker.start(self._system)
        self._since = None

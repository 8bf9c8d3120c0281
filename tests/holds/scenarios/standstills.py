"""Something stands still for a while: the broker, the registry, or the registry's database."""

import asyncio
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

import httpx

from certcore.identities import Service, identity, owner_identity
from certlocal.services import SITES
from tests.holds import broker
from tests.holds.asking_on_the_bus import ask_on_the_bus
from tests.holds.faces import level
from tests.holds.figures import Figure
from tests.holds.fleet import TEAMS, Fleet
from tests.holds.processes import frozen

__all__ = ["frozen_broker", "frozen_registry", "locked_database"]

_CLIENT_GIVES_UP_S: Final = 10.0
"""The services wait so long for an answer of the registry."""


async def frozen_broker(fleet: Fleet, *, count: int, seconds: float) -> list[Figure]:
    return await _frozen(fleet, "broker", count, seconds)


async def frozen_registry(fleet: Fleet, *, count: int, seconds: float) -> list[Figure]:
    return await _frozen(fleet, "registry", count, seconds)


async def _frozen(fleet: Fleet, what: str, count: int, seconds: float) -> list[Figure]:
    """Stopped by SIGSTOP while certificates are asked for: two thirds over the API, one third over the bus.

    While the broker stands still, the monitor is killed as well: it starts beside a broker that doesn't answer.
    """
    process = fleet.system.nats.process if what == "broker" else fleet.system.services[what].process
    names = [f"while-{what}-stood-{number}" for number in range(count)]
    with frozen(process):
        asking = asyncio.create_task(_ask(fleet, names))
        if what == "broker":
            await fleet.system.kill("monitor")
        await asyncio.sleep(seconds)
    began = time.monotonic()
    answers = asyncio.create_task(_answers(fleet, 10))
    await asking
    await fleet.live(names, every_s=1.0)
    took = time.monotonic() - began
    slowest = max(await answers)
    await fleet.one_order_each()
    return [
        Figure(f"{what} frozen for {seconds:g} s, {count} requests meanwhile: all live", took, 60.0),
        Figure("  slowest answer of /v1/deployments after that", slowest, _CLIENT_GIVES_UP_S),
    ]


async def _ask(fleet: Fleet, names: Sequence[str]) -> None:
    team = TEAMS[0]
    async with broker.connected(fleet.system, owner_identity(team)) as bus:
        await asyncio.gather(
            *(
                fleet.request(name, team=TEAMS[number % 2])
                if number % 3
                else ask_on_the_bus(fleet, bus, name, team=team)
                for number, name in enumerate(names)
            )
        )


async def _answers(fleet: Fleet, looks: int) -> list[float]:
    """How long the registry takes for the level that a syncer reads, asked again and again."""
    took = []
    for number in range(looks):
        began = time.monotonic()
        deliverer = identity(SITES[number % 2], Service.SYNCER)
        with suppress(httpx.TimeoutException):
            answer = await level(fleet.system, "/v1/deployments", person=deliverer, limit="500")
            assert answer.status_code == 200, answer.text
        took.append(time.monotonic() - began)
        await asyncio.sleep(1.0)
    return took


async def locked_database(fleet: Fleet, *, count: int, seconds: float) -> list[Figure]:
    """Another process holds the write lock of the registry's database: what was accepted is live soon after."""
    early = [f"before-lock-{number}" for number in range(count)]
    await fleet.request_all(early)
    names = [f"while-locked-{number}" for number in range(count)]
    async with _locked(fleet):
        asking = asyncio.create_task(fleet.request_all(names))
        await asyncio.sleep(seconds)
    began = time.monotonic()
    await asking
    await fleet.live([*early, *names])
    took = time.monotonic() - began
    await fleet.one_order_each()
    return [
        Figure(
            f"registry's database locked for {seconds:g} s, {2 * count} certificates on their way: all live",
            took,
            30.0,
        )
    ]


_HOLD: Final = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
connection.execute("ROLLBACK")
"""


@asynccontextmanager
async def _locked(fleet: Fleet) -> AsyncIterator[None]:
    """A process of its own: SQLite's locks don't hold against the process that has them."""
    database = fleet.system.home.path("registry", "registry.db")
    assert sqlite3.connect(database).execute("PRAGMA journal_mode").fetchone() == ("wal",)
    holder = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _HOLD, str(database)), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    try:
        assert await holder.stdout.readline() == b"held\n"
        yield
    finally:
        holder.stdin.close()
        await holder.wait()

"""What a certificate costs the registry, and whether memory and descriptors stay where they are under load."""

import asyncio
import random
import sqlite3
import statistics
import time
from collections import defaultdict
from collections.abc import Collection
from contextlib import closing
from typing import Final

from certbus.errors import CommandError
from certbus.exit_codes import ExitCode
from certlocal.services import SITES
from tests.holds.faces import metric
from tests.holds.figures import Figure
from tests.holds.fleet import TEAMS, Fleet
from tests.holds.processes import Usage, cpu_s, of_system, usage
from tests.patience import HANG_S
from tests.yardstick import yardstick

__all__ = ["cost_of_a_certificate", "steady_under_load"]

_COMMITS: Final = "certbus_database_commits_total"
_MOST_GROWTH: Final = 5.0
"""Percent. The allocator moves by a few; a leak goes on."""
_MOST_DESCRIPTORS: Final = 5


async def cost_of_a_certificate(fleet: Fleet, *, count: int, idle_s: float, a_second: float = 4.0) -> list[Figure]:
    """Steadily asked for beside what is stored; what the registry does anyway is measured before, and taken off.

    Nobody asks the registry how far they are: its database is read from beside. By the yardstick, figures of
    different days compare.
    """
    stored = len(fleet.names)
    registry = {"registry": fleet.system.services["registry"].process}

    async def spent() -> tuple[float, float, float]:
        commits = await metric(fleet.system, "registry", _COMMITS)
        return time.monotonic(), cpu_s(registry)["registry"], commits

    before = await spent()
    await asyncio.sleep(idle_s)
    began = await spent()
    async with yardstick() as taken:
        await _ask_for(fleet, count, a_second)
        while (live := _live(fleet, "costs-")) < count:
            assert time.monotonic() - began[0] < 2 * HANG_S, f"{live} of {count} are live"
            await asyncio.sleep(0.5)
    ended = await spent()
    share = (ended[0] - began[0]) / (began[0] - before[0])
    idle_cpu, idle_commits = ((began[part] - before[part]) * share for part in (1, 2))
    cpu, commits = ended[1] - began[1], ended[2] - began[2]
    await fleet.one_order_each()
    return [
        Figure(f"CPU of the registry a certificate at {stored} stored", 1000 * (cpu - idle_cpu) / count, 40.0, "ms"),
        Figure(f"write transactions a certificate at {stored} stored", (commits - idle_commits) / count, 6.0, ""),
        Figure("  this machine meanwhile: yardstick", statistics.median(taken), unit="ms"),
        Figure("  with what it does anyway: CPU a certificate", 1000 * cpu / count, unit="ms"),
        Figure("  with what it does anyway: write transactions a certificate", commits / count, unit=""),
        Figure("  from the first request to the last live", ended[0] - began[0]),
    ]


async def _ask_for(fleet: Fleet, count: int, a_second: float) -> None:
    asking = []
    for number in range(count):
        name, team = f"costs-{number}", TEAMS[number % len(TEAMS)]
        asking.append(asyncio.create_task(fleet.request(name, SITES[number % 2], team=team)))
        await asyncio.sleep(1 / a_second)
    await asyncio.gather(*asking)


def _live(fleet: Fleet, prefix: str) -> int:
    database = fleet.system.home.path("registry", "registry.db")
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        query = "SELECT COUNT(*) FROM certificate WHERE state = 'live' AND name LIKE ?"
        return int(connection.execute(query, (f"{prefix}%",)).fetchone()[0])


async def steady_under_load(fleet: Fleet, *, seconds: float, seed: int, a_second: float = 1.0) -> list[Figure]:
    """Renewals all the time; the second fifth of the samples is compared with the last."""
    choice = random.Random(seed)
    processes = of_system(fleet.system)
    samples: dict[str, list[Usage]] = defaultdict(list)
    renewing: set[asyncio.Task[bool]] = set()
    ends = time.monotonic() + seconds
    restarts = fleet.system.restarts
    while time.monotonic() < ends:
        renewing.add(asyncio.create_task(_renew(fleet, choice.choice(fleet.names))))
        for name, process in processes.items():
            samples[name].append(usage(process))
        await asyncio.sleep(1 / a_second)
    renewed = sum(await asyncio.gather(*renewing))
    await fleet.live(fleet.names, every_s=1.0)
    await fleet.one_order_each()
    assert fleet.system.restarts == restarts, "a service ended meanwhile"
    figures = [Figure(f"{seconds:g} s of renewals at {len(fleet.names)} stored: renewed", renewed, unit="")]
    for name in (name for name in samples if name != "pebble"):
        fifth = max(1, len(samples[name]) // 5)
        early, late = samples[name][fifth : 2 * fifth] or samples[name], samples[name][-fifth:]
        memory = _mean(late, "resident_mib") - _mean(early, "resident_mib")
        growth = 100 * memory / _mean(early, "resident_mib")
        figures += [
            Figure(f"  {name}: growth of {_mean(early, 'resident_mib'):.0f} MiB", growth, _MOST_GROWTH, "%"),
            Figure(
                f"  {name}: more open descriptors",
                _mean(late, "descriptors") - _mean(early, "descriptors"),
                _MOST_DESCRIPTORS,
                "",
            ),
        ]
    return figures


def _mean(samples: Collection[Usage], what: str) -> float:
    return statistics.fmean(getattr(sample, what) for sample in samples)


async def _renew(fleet: Fleet, name: str) -> bool:
    try:
        await fleet.ask("admin", lambda registry: registry.renew(name))
    except CommandError as error:
        if error.exit_code is not ExitCode.INVALID:
            raise
        return False
    return True

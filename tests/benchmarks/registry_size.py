"""What a list, a round, a request and a report cost the registry with few and with many certificates stored.

`python -m tests.benchmarks.registry_size [MANY]`: the same at 1,000 and at MANY (100,000), beside each other. What
grows is marked. Beside it: the resident memory of this process, the start of a real registry on the large database.
"""

import asyncio
import resource
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Final

import structlog
from alembic import command
from alembic.config import Config
from rich.console import Console
from rich.table import Table
from sqlalchemy import Connection

from tests import servers
from tests.benchmarks.large_database import filled
from tests.integration.registry.costs import Cost, counting, steps
from tests.integration.registry.many_rows import copyable
from tests.integration.registry.world import MIGRATIONS, a_database
from tests.registry_process import RegistryProcess

_FEW: Final = 1000
_GROWS: Final = 1.5
"""Times as many instructions."""
_ROUNDS: Final = 3
_LATER: Final = time.time_ns()


async def measured(path: Path, number: int, now: datetime) -> dict[str, Cost]:
    """The cheapest of some rounds."""
    found: dict[str, Cost] = {}
    with counting() as of:
        database = a_database(f"sqlite:///{path}")
        try:
            for step in await steps(copyable(database, now=now, first=_LATER), number):
                costs = [await of(step.work) for _ in range(_ROUNDS)]
                found[step.name] = min(costs, key=lambda cost: cost.wall_ms)
        finally:
            await database.close()
    return found


def memory_mib(pid: int | str) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) // 1024 for line in status.splitlines() if line.startswith("VmRSS"))


async def migrated(path: Path) -> float:
    """Seconds that the newest migration takes."""

    def back(connection: Connection) -> None:
        configuration = Config()
        configuration.set_main_option("script_location", str(MIGRATIONS))
        configuration.attributes["connection"] = connection
        command.downgrade(configuration, "-1")

    database = a_database(f"sqlite:///{path}")
    try:
        await database.write(back)
        began = time.monotonic()
        await database.upgrade(MIGRATIONS)
        return time.monotonic() - began
    finally:
        await database.close()


async def start(folder: Path, path: Path) -> tuple[float, int, int]:
    """Seconds until a registry on this database is ready; its memory then, and a minute later, in MiB."""
    async with servers.broker(sites=servers.SITES) as broker:
        process = RegistryProcess(folder=folder, nats_url=broker.url)
        await asyncio.to_thread(path.rename, folder / "registry.db")
        began = time.monotonic()
        try:
            await process.start()
            took, first = time.monotonic() - began, memory_mib(process.child.pid or "self")
            # Several sweeps.
            await asyncio.sleep(60)
            return took, first, memory_mib(process.child.pid or "self")
        finally:
            await process.stop()


def shown(few: dict[str, Cost], many: dict[str, Cost], number: int) -> Table:
    table = Table(
        "what",
        *(f"{unit} {size:,}" for unit in ("ms", "CPU ms", "statements", "k instr.") for size in (_FEW, number)),
    )
    table.add_column("ratio of instr.")
    table.add_column("longest write ms")
    for name, one in few.items():
        other = many[name]
        ratio = other.instructions / max(one.instructions, 1.0)
        table.add_row(
            name,
            *(f"{cost.wall_ms:.1f}" for cost in (one, other)),
            *(f"{cost.cpu_ms:.1f}" for cost in (one, other)),
            *(str(cost.statements) for cost in (one, other)),
            *(f"{cost.instructions:.1f}" for cost in (one, other)),
            f"{ratio:.1f}" + (" GROWS" if ratio > _GROWS else ""),
            f"{other.longest_write_ms:.0f}" if other.longest_write_ms else "",
        )
    return table


async def main(number: int) -> None:
    structlog.configure(processors=[], logger_factory=structlog.ReturnLoggerFactory())
    with tempfile.TemporaryDirectory(prefix="certbus-bench-") as name:
        folder, found = Path(name), []
        for size in (_FEW, number):
            began = time.monotonic()
            now = await filled(folder / f"{size}.db", size)
            print(f"{size} stored in {time.monotonic() - began:.0f} s", flush=True)
            before = memory_mib("self")
            found.append(await measured(folder / f"{size}.db", size, now))
            print(f"memory at {size}: {before} MiB before, {memory_mib('self')} after", flush=True)
        Console(width=240).print(shown(found[0], found[1], number))
        print(f"the newest migration at {number}: {await migrated(folder / f'{number}.db'):.1f} s")
        took, first, later = await start(folder, folder / f"{number}.db")
        print(f"start: ready after {took:.1f} s with {first} MiB, {later} MiB a minute later")
        print(f"largest memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB")


if __name__ == "__main__":
    asyncio.run(main(int((sys.argv[1:] or ["100000"])[0])))

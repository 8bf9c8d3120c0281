"""What the rounds of renewals cost with many certificates: which of them are due, is found by an index.

`python -m tests.benchmarks.renewals [MANY] [FOLDER]` (100,000; FOLDER keeps the database for the next time): planning
all by a policy that changed; a sweep while 200 are due, and one while all are, of which the policy lets 1,000 be
ordered in an hour; the look for late ones. CPU seconds and resident memory, beside their limits.
"""

import asyncio
import resource
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import structlog
from rich.console import Console
from rich.table import Table
from sqlalchemy import func, select

from registry.adapters import tables
from registry.adapters.outbox import Bell
from registry.handlers.alarms import Alarms
from registry.handlers.renewal_plans import RenewalPlans
from registry.handlers.renewal_watch import RenewalWatch
from tests.benchmarks.large_database import a_copy
from tests.integration.registry.many_rows import copyable
from tests.integration.registry.world import World, a_database
from tests.yardstick import yardstick_ms

_DUE: Final = 200
_SWEEP_S: Final = 5.0
_MEMORY_MIB: Final = 300
_LATER: Final = time.time_ns()


class Bench:
    def __init__(self, made: World) -> None:
        self._made = made
        self.table = Table("what", "ordered", "put off", "CPU s", "s", "limit", "MiB", f"limit {_MEMORY_MIB}")

    async def measured(self, what: str, work: Callable[[], Awaitable[object]], *, limit_s: float | None) -> None:
        before = await self._ordered()
        began, cpu = time.monotonic(), time.process_time()
        await work()
        took, spent = time.monotonic() - began, time.process_time() - cpu
        memory = _memory_mib()
        self.table.add_row(
            what,
            str(await self._ordered() - before),
            str(await self._put_off()),
            f"{spent:.2f}",
            f"{took:.2f}",
            "" if limit_s is None else f"{limit_s:g} {'ok' if spent <= limit_s else 'MISSED'}",
            str(memory),
            "ok" if memory <= _MEMORY_MIB else "MISSED",
        )

    async def _ordered(self) -> int:
        query = select(func.count()).select_from(tables.ordered_renewal)
        return await self._made.database.read(lambda connection: connection.execute(query).scalar_one())

    async def _put_off(self) -> int:
        row = tables.certificate
        query = select(func.count()).select_from(row).where(row.c.renewal_reason.like("too_many%"))
        return await self._made.database.read(lambda connection: connection.execute(query).scalar_one())


def _memory_mib() -> int:
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) // 1024 for line in status.splitlines() if line.startswith("VmRSS"))


async def _due_of(made: World, number: int) -> datetime:
    """When so many are due."""
    row = tables.certificate
    query = select(row.c.due_at).where(row.c.due_at.is_not(None)).order_by(row.c.due_at).offset(number - 1).limit(1)
    return await made.database.read(lambda connection: connection.execute(query).scalar_one())


async def main(number: int, kept: Path | None) -> None:
    structlog.configure(processors=[], logger_factory=structlog.ReturnLoggerFactory())
    with tempfile.TemporaryDirectory(prefix="certbus-bench-") as name:
        folder = Path(name)
        now = await a_copy(kept or folder / "kept", folder / "registry.db", number)
        database = a_database(f"sqlite:///{folder / 'registry.db'}")
        print(f"{number} stored, {_memory_mib()} MiB", flush=True)
        made = copyable(database, now=now, first=_LATER)
        plans = RenewalPlans(store=made.store, policies=made.policies, bell=Bell(), clock=made.clock)
        alarms = Alarms(outbox=made.outbox, clock=made.clock)
        late = RenewalWatch(store=made.store, alarms=alarms, bell=Bell(), clock=made.clock)
        bench = Bench(made)
        await bench.measured("plan all", plans.look, limit_s=None)
        made.now = await _due_of(made, _DUE)
        await bench.measured(f"sweep, {_DUE} due", made.renewals.sweep, limit_s=_SWEEP_S)
        await bench.measured("sweep, none due", made.renewals.sweep, limit_s=_SWEEP_S)
        await bench.measured("late ones", late.look, limit_s=_SWEEP_S)
        made.now = now + timedelta(days=62)
        await bench.measured("sweep, all due", made.renewals.sweep, limit_s=None)
        await bench.measured("sweep, all put off", made.renewals.sweep, limit_s=_SWEEP_S)
        made.now += timedelta(hours=1)
        await bench.measured("sweep, an hour later", made.renewals.sweep, limit_s=_SWEEP_S)
        Console(width=140).print(bench.table)
        print(f"this machine: yardstick {yardstick_ms():.1f} ms")
        print(f"largest memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB")
        await database.close()


if __name__ == "__main__":
    asyncio.run(main(int((sys.argv[1:] or ["100000"])[0]), Path(sys.argv[2]) if sys.argv[2:] else None))

"""How long a backup of a large database holds up who writes to it.

`python -m tests.benchmarks.backup_stall DATABASE`: a writer commits a row each few milliseconds to a copy of this
SQLite database, as durable as the registry does; first alone, then while `python -m registry backup` copies it in a
process of its own. Printed are the commits, their middle, 99th and longest, in ms, and what the backup took.
On a machine that others use, compare with the writer alone.
"""

import asyncio
import os
import resource
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Final

from sqlalchemy import text

from certkit.background import end_tasks
from certkit.transactions import Database
from tests.integration.registry.world import a_database

_PAUSE_S: Final = 0.005
_ALONE_S: Final = 30.0
_SLOW_MS: Final = 100.0


@dataclass(frozen=True)
class Commits:
    number: int
    middle_ms: float
    p99_ms: float
    longest_ms: float
    slow: int
    longest_after_s: float

    def told(self) -> str:
        return (
            f"{self.number} commits, {self.middle_ms:.1f} / {self.p99_ms:.1f} / {self.longest_ms:.1f} ms;"
            f" {self.slow} above {_SLOW_MS:.0f} ms, the longest after {self.longest_after_s:.1f} s"
        )


class Writer:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._took: list[float] = []
        self._ended: list[float] = []
        self._began = time.perf_counter()

    async def run(self) -> None:
        statement = text("UPDATE certificate SET version = version + 1 WHERE id = (SELECT min(id) FROM certificate)")
        while True:
            began = time.perf_counter()
            await self._database.write(lambda connection: connection.execute(statement))
            ended = time.perf_counter()
            self._took.append(1000 * (ended - began))
            self._ended.append(ended - self._began)
            await asyncio.sleep(_PAUSE_S)

    def taken(self) -> Commits:
        took, ended = self._took, self._ended
        self._took, self._ended, self._began = [], [], time.perf_counter()
        longest = max(took)
        slow = sum(one > _SLOW_MS for one in took)
        after_s = ended[took.index(longest)]
        return Commits(len(took), median(took), quantiles(took, n=100)[98], longest, slow, after_s)


async def _backup(path: Path, folder: Path) -> None:
    environment = {
        **os.environ,
        "CERTBUS_REGISTRY_DATABASE_URL": f"sqlite:///{path}",
        "CERTBUS_REGISTRY_STATE_FOLDER": str(folder),
    }
    command = (sys.executable, "-m", "registry", "backup", "--to", str(folder / "copies"))
    process = await asyncio.create_subprocess_exec(*command, env=environment)
    assert await process.wait() == 0


async def main(source: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="certbus-stall-", dir=source.parent) as made:
        folder = Path(made)
        path = Path(await asyncio.to_thread(shutil.copy, source, folder / "registry.db"))
        database = a_database(f"sqlite:///{path}")
        writer = Writer(database)
        writing = asyncio.create_task(writer.run())
        try:
            await asyncio.sleep(_ALONE_S)
            print("alone: ", writer.taken().told())
            began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
            await _backup(path, folder)
            took, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
            cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            print("beside:", writer.taken().told())
            size = (await asyncio.to_thread(path.stat)).st_size
            print(f"the backup of {size:,} bytes took {took:.1f} s, {cpu:.1f} s of CPU")
        finally:
            await end_tasks([writing])
            await database.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))

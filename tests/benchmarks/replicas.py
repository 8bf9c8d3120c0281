"""Requests a second at one registry on PostgreSQL, and at two, beside what the database commits by itself.

`python -m tests.benchmarks.replicas [REQUESTS]`: the database writes to the disk at each commit. The bare rate is
that of a transaction of one row, by one connection and by as many as a registry has. Registries are held to 0.4 cores
each by the kernel's CPU controller, which takes root; the last lines are without that.
"""

import asyncio
import contextlib
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from certcore.api import Role
from tests.benchmarks.held_cpu import held
from tests.benchmarks.registry_cost import cpu_s, each
from tests.benchmarks.request_rate import bare_rate
from tests.integration.registry.bodies import a_body
from tests.registry_pair import RegistryPair, registry_pair

_CORES: Final = 0.4
_WARM_UP: Final = 40
_CONNECTIONS: Final = 8
_TURNS: Final = 2


async def rate(pair: RegistryPair, headers: dict[str, str], number: int, places: int) -> tuple[float, float]:
    """Requests that were taken a second, by the first so many; and what each cost them, in ms of CPU."""

    async def ask(_: int) -> None:
        client = pair.client(next(turns) % places)
        response = await client.post("/v1/requests", json=a_body(), headers=headers)
        assert response.status_code == 202, response.text

    turns, pids = count(), [process.child.pid or 0 for process in pair.processes]
    before, began = sum(map(cpu_s, pids)), time.monotonic()
    await each(range(number), ask)
    took = time.monotonic() - began
    return number / took, 1000 * (sum(map(cpu_s, pids)) - before) / number


@contextlib.contextmanager
def all_held(pair: RegistryPair) -> Iterator[None]:
    with ExitStack() as stack:
        for process in pair.processes:
            stack.enter_context(held(process.child.pid or 0, cores=_CORES))
        yield


async def main(number: int) -> None:
    table = Table("what", "a second", "CPU ms each", "of the bare rate, one connection", "of that by eight")
    with tempfile.TemporaryDirectory() as folder:
        async with registry_pair(Path(folder), durable=True, traces=False) as pair:
            ana = await pair.person("ana", Role.REQUESTER)
            await rate(pair, ana, _WARM_UP, 2)
            pair.processes[0].change("CREATE TABLE bare (body TEXT)")
            one = await asyncio.to_thread(bare_rate, pair.database_url, callers=1)
            eight = await asyncio.to_thread(bare_rate, pair.database_url, callers=_CONNECTIONS)
            table.add_row("bare commits, one connection", f"{one:.0f}", "", "", "")
            table.add_row("bare commits, eight", f"{eight:.0f}", "", "", "")

            async def row(what: str, places: int) -> float:
                found, cpu = await rate(pair, ana, number, places)
                table.add_row(what, f"{found:.1f}", f"{cpu:.1f}", f"{found / one:.0%}", f"{found / eight:.0%}")
                return found

            with all_held(pair):
                rates = [[await row(f"{places} held", places) for places in (1, 2)] for _ in range(_TURNS)]
            for places in (1, 2):
                await row(f"{places} not held", places)
            Console(width=118).print(table)
            for first, second in rates:
                print(f"two do {second / first:.2f} times as many as one")


if __name__ == "__main__":
    asyncio.run(main(*(int(argument) for argument in [*sys.argv[1:], "400"][:1])))

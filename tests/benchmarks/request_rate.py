"""Requests a second by the API and by the bus, beside what the same database commits by itself.

`python -m tests.benchmarks.request_rate [REQUESTS] [sqlite|postgresql]` (400, both): one registry, on a database that
writes to the disk at each commit. The bare rate is that of transactions of one row, by one caller and by as many as
ask at once. The limit is a share of the bare rate of as many; the registry's CPU tells what each took.
"""

import asyncio
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import psycopg
from nats.js.errors import ServiceUnavailableError
from rich.console import Console
from rich.table import Table
from sqlalchemy import make_url

from certcore.api import Role
from tests.benchmarks.registry_cost import cpu_s, each
from tests.integration.registry.bodies import a_body, encoded
from tests.integration.registry.bus import Bus
from tests.registry_pair import RegistryPair, registry_pair
from tests.yardstick import yardstick

__all__ = ["CALLERS", "bare_rate"]

CALLERS: Final = 50
"""So many requests wait at once, see `each`."""
_SHARE: Final = 0.4
_WARM_UP: Final = 60
_BARE_S: Final = 3.0
_TURNS: Final = 1
_LOOK_S: Final = 0.1
_ROW: Final = "x" * 500

Commit = Callable[[], None]


@contextmanager
def _on_sqlite(url: str) -> Iterator[Commit]:
    with closing(sqlite3.connect(str(make_url(url).database), isolation_level=None, timeout=60.0)) as connection:
        connection.execute("PRAGMA synchronous=FULL")

        def commit() -> None:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("INSERT INTO bare (body) VALUES (?)", (_ROW,))
            connection.execute("COMMIT")

        yield commit


@contextmanager
def _on_postgresql(url: str) -> Iterator[Commit]:
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain) as connection:

        def commit() -> None:
            connection.execute("INSERT INTO bare (body) VALUES (%s)", (_ROW,))
            connection.commit()

        yield commit


def bare_rate(url: str, *, callers: int) -> float:
    """Transactions of one row a second, each caller on a connection of its own."""
    connected = partial(_on_sqlite if url.startswith("sqlite") else _on_postgresql, url)
    done: list[int] = []
    until = time.monotonic() + _BARE_S

    def calling() -> None:
        number = 0
        with connected() as commit:
            while time.monotonic() < until:
                commit()
                number += 1
        done.append(number)

    threads = [threading.Thread(target=calling) for _ in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done) / _BARE_S


class Asking:
    def __init__(self, pair: RegistryPair, bus: Bus, headers: dict[str, str]) -> None:
        self._pair = pair
        self._bus = bus
        self._headers = headers

    async def rate(self, number: int, *, by_bus: bool) -> tuple[float, float]:
        """Requests a second until the last was stored; and what each cost the registry, in ms of CPU."""
        pid, before = self._pair.processes[0].child.pid or 0, self._stored()
        cpu, began = cpu_s(pid), time.monotonic()
        await each(range(number), self._by_bus if by_bus else self._by_api)
        while self._stored() < before + number:  # noqa: ASYNC110 # another process stores them
            await asyncio.sleep(_LOOK_S)
        return number / (time.monotonic() - began), 1000 * (cpu_s(pid) - cpu) / number

    async def _by_api(self, _: int) -> None:
        response = await self._pair.client(0).post("/v1/requests", json=a_body(), headers=self._headers)
        assert response.status_code == 202, response.text

    async def _by_bus(self, _: int) -> None:
        body, event_id = encoded(a_body()), str(uuid.uuid4())
        while True:
            try:
                await self._bus.ask(body, event_id=event_id)
            except ServiceUnavailableError:
                # So many of an owner's wait already that the stream takes no more of them.
                await asyncio.sleep(_LOOK_S)
            else:
                return

    def _stored(self) -> int:
        return int(self._pair.rows("SELECT COUNT(*) AS number FROM request")[0]["number"])


async def measured(kind: str, number: int, table: Table) -> None:
    with tempfile.TemporaryDirectory(prefix="certbus-bench-") as folder:
        async with (
            registry_pair(Path(folder), number=1, kind=kind, durable=True, traces=False) as pair,
            Bus.connect(pair.broker.url) as bus,
        ):
            asking = Asking(pair, bus, await pair.person("ana", Role.REQUESTER))
            await asking.rate(_WARM_UP, by_bus=False)
            pair.processes[0].change("CREATE TABLE bare (body TEXT)")
            for _ in range(_TURNS):
                one, many = [
                    await asyncio.to_thread(bare_rate, pair.database_url, callers=callers) for callers in (1, CALLERS)
                ]
                table.add_row(kind, "bare, one caller", f"{one:.0f}", "", "", "", "")
                table.add_row(kind, f"bare, {CALLERS} callers", f"{many:.0f}", "", "", "", "")
                bare = max(one, many)
                for by_bus in (False, True):
                    async with yardstick() as taken:
                        found, cpu = await asking.rate(number, by_bus=by_bus)
                    table.add_row(
                        kind,
                        "requests by the bus" if by_bus else "requests by the API",
                        f"{found:.1f}",
                        f"{found / bare:.0%}",
                        "ok" if found >= _SHARE * bare else "MISSED",
                        f"{cpu:.1f}",
                        f"{statistics.median(taken):.1f}",
                    )


async def main(number: int, kinds: list[str]) -> None:
    table = Table(
        "database", "what", "a second", "of bare commits", f"limit {_SHARE:.0%}", "CPU ms each", "yardstick ms"
    )
    for kind in kinds:
        await measured(kind, number, table)
    Console(width=130).print(table)


if __name__ == "__main__":
    asyncio.run(main(int((sys.argv[1:] or ["400"])[0]), sys.argv[2:] or ["sqlite", "postgresql"]))

"""How many requests a registry takes while people follow its events and have the page open, beside how many without.

`python -m tests.benchmarks.followers [MANY] [FOLDER]` (100,000; the database is kept in FOLDER for the next time): 20
followers of the event stream and 5 pages, which look again at the list as `page.js` does. In turns with none of them;
what they cost the machine is little beside the registry: they read bytes and throw them away.
"""

import asyncio
import re
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Final

import httpx
import structlog
from rich.console import Console
from rich.table import Table

from certcore.api import Role
from registry.adapters.store import Transaction
from registry.domain.access import Principal
from registry.handlers import web
from registry.handlers.http.auth import hash_token
from tests import servers
from tests.benchmarks.large_database import a_copy
from tests.benchmarks.registry_cost import cpu_s
from tests.integration.registry.many_rows import SITES, copyable
from tests.integration.registry.world import a_database
from tests.registry_process import OWNERS, RegistryProcess
from tests.yardstick import yardstick

_FOLLOWERS: Final = 20
_PAGES: Final = 5
_ASKERS: Final = 8
_SECONDS: Final = 8.0
_TURNS: Final = 2
_SHARE: Final = 0.8
_SCRIPT: Final = (Path(web.__file__).parent / "assets" / "page.js").read_text()
_PEOPLE: Final = (
    Principal("asker", "shop", frozenset({Role.REQUESTER})),
    Principal("lena", "shop", frozenset({Role.VIEWER, Role.OPERATOR, Role.APPROVER, Role.AUDITOR})),
)
_NAMES: Final = (f"followed-{number}" for number in count(time.time_ns()))


def of_page(name: str) -> int:
    """A number of the page's script; 0 where it has none of this name."""
    found = re.search(rf"const {name} = (\d+);", _SCRIPT)
    return int(found[1]) if found else 0


class Follower:
    def __init__(self, process: RegistryProcess) -> None:
        self._address = ("127.0.0.1", int(process.url.rpartition(":")[2]))
        self.bytes = 0
        self.news = asyncio.Event()

    async def follow(self) -> None:
        reader, writer = await self._asked("/v1/events?since=now")
        try:
            while chunk := await reader.read(65536):
                self.bytes += len(chunk)
                if b"event:" in chunk:
                    self.news.set()
        finally:
            writer.close()

    async def look(self) -> None:
        """A page's own part: it looks again at news, as its script does."""
        gather_s, rest_s, times = of_page("GATHER_MS") / 1000, of_page("REST_MS") / 1000, of_page("REST_TIMES")
        while True:
            await self.news.wait()
            await asyncio.sleep(gather_s)
            self.news.clear()
            began = time.monotonic()
            reader, writer = await self._asked("/list", close=True)
            try:
                while chunk := await reader.read(65536):
                    self.bytes += len(chunk)
            finally:
                writer.close()
            await asyncio.sleep(max(rest_s, times * (time.monotonic() - began)))

    async def _asked(self, path: str, *, close: bool = False) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(*self._address)
        end = "connection: close\r\n" if close else ""
        writer.write(f"GET {path} HTTP/1.1\r\nhost: registry\r\nauthorization: Bearer lena\r\n{end}\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert b" 200 " in head.partition(b"\r\n")[0], head
        return reader, writer


@asynccontextmanager
async def followed(process: RegistryProcess, followers: int, pages: int) -> AsyncIterator[list[Follower]]:
    there = [Follower(process) for _ in range(followers + pages)]
    tasks = [asyncio.create_task(one.follow()) for one in there]
    tasks += [asyncio.create_task(one.look()) for one in there[:pages]]
    try:
        yield there
        assert not any(task.done() for task in tasks), "a follower was left alone"
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task


async def rate(client: httpx.AsyncClient) -> float:
    """Requests a second that some askers have taken, each after the one before."""
    until, done = time.monotonic() + _SECONDS, 0

    async def asking() -> None:
        nonlocal done
        while time.monotonic() < until:
            name = next(_NAMES)
            body = {
                "name": name,
                "dns_names": [f"{name}.internal.example.test"],
                "exposure": "internal",
                "targets": [{"kind": "files", "name": "host", "site": "site-3"}],
                "endpoints": [{"url": f"https://{name}.internal.example.test:8443", "target": "host"}],
            }
            response = await client.post("/v1/requests", json=body, headers={"authorization": "Bearer asker"})
            assert response.status_code == 202, response.text
            done += 1

    began = time.monotonic()
    await asyncio.gather(*(asking() for _ in range(_ASKERS)))
    return done / (time.monotonic() - began)


async def people(path: Path) -> None:
    database = a_database(f"sqlite:///{path}")
    try:
        made = copyable(database, now=datetime.now(UTC), first=time.time_ns())

        def add(transaction: Transaction) -> None:
            for person in _PEOPLE:
                transaction.tokens.add(hash_token(person.subject), person, now=made.now)

        await made.store.write(add)
    finally:
        await database.close()


async def main(number: int, kept: Path | None) -> None:
    structlog.configure(processors=[], logger_factory=structlog.ReturnLoggerFactory())
    table = Table("what", "requests a second", "registry's CPU s a s", "MB to followers", "yardstick ms")
    with tempfile.TemporaryDirectory(prefix="certbus-bench-") as name:
        folder = Path(name)
        await a_copy(kept or folder / "kept", folder / "registry.db", number)
        await people(folder / "registry.db")
        sites = [f"site-{place}" for place in range(1, SITES + 1)]
        async with servers.broker(sites=sites, owners=OWNERS) as broker:
            process = RegistryProcess(folder=folder, nats_url=broker.url, traces=False)
            try:
                await process.start()
                async with httpx.AsyncClient(base_url=process.url, timeout=60.0, trust_env=False) as client:
                    await rate(client)
                    shares = []
                    for _ in range(_TURNS):
                        alone = await row(table, process, client, 0, 0)
                        beside = await row(table, process, client, _FOLLOWERS, _PAGES)
                        shares.append(beside / alone)
            finally:
                await process.stop()
    Console(width=110).print(table)
    share = statistics.median(shares)
    told = ", ".join(f"{one:.0%}" for one in shares)
    print(f"beside them: {told} of the rate (limit {_SHARE:.0%}: {'ok' if share >= _SHARE else 'MISSED'})")


async def row(table: Table, process: RegistryProcess, client: httpx.AsyncClient, followers: int, pages: int) -> float:
    pid = process.child.pid or 0
    async with followed(process, followers, pages) as there, yardstick() as taken:
        cpu, began = cpu_s(pid), time.monotonic()
        found = await rate(client)
        busy = (cpu_s(pid) - cpu) / (time.monotonic() - began)
    told = f"{followers} followers, {pages} pages" if there else "nobody else"
    read = sum(one.bytes for one in there) / 1e6
    table.add_row(told, f"{found:.1f}", f"{busy:.2f}", f"{read:.1f}", f"{statistics.median(taken):.1f}")
    return found


if __name__ == "__main__":
    asyncio.run(main(int((sys.argv[1:] or ["100000"])[0]), Path(sys.argv[2]) if sys.argv[2:] else None))

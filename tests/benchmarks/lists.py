"""What a list of certificates costs with very many of them: by each filter, by each two, sorted, counted, deep.

`python -m tests.benchmarks.lists [MANY] [FOLDER]` (100,000): the database is kept in FOLDER for the next time. Each
list's page of 50 is asked for many times, in this process and with its client: CPU ms by the middle answer, ms by the
99th of a hundred, beside their limits and a yardstick. Then what the list of sites costs without reviews and with
many Secrets in them, and the memory of a real registry that was asked all of this.
"""

import asyncio
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import httpx
import structlog
from rich.console import Console
from rich.table import Table

from certcore.api import Role
from certcore.certificate_list import Facet, Order
from certcore.events import DiscoveredSecret
from registry.adapters.store import Transaction
from registry.adapters.store.facts import NEVER
from registry.adapters.store.listing import Place
from registry.domain.access import Principal
from registry.handlers.http.auth import hash_token
from registry.handlers.http.certificates_api import cursor_at
from tests import servers
from tests.benchmarks.large_database import a_copy
from tests.integration.registry.costs import routed
from tests.integration.registry.many_rows import SITES, copyable, host_of, name_of
from tests.integration.registry.world import a_database
from tests.registry_process import RegistryProcess
from tests.yardstick import yardstick_ms

_WALL_MS: Final = 50.0
_CPU_MS: Final = 15.0
_MEMORY_MIB: Final = 300
_ANSWERS: Final = 9
_SHOWN: Final = 12
_KEPT: Final = 4000
"""Summaries, as a registry keeps."""
_SECRETS: Final = 10_000
"""In each site's clusters."""
_PERSON: Final = Principal("lena", "shop", frozenset({Role.VIEWER, Role.OPERATOR, Role.APPROVER, Role.AUDITOR}))
_LENA: Final = {"authorization": "Bearer lena"}

Given = tuple[tuple[str, str], ...]
Get = Callable[[str, Given], Awaitable[httpx.Response]]


@dataclass(frozen=True)
class List:
    group: str
    given: Given

    @property
    def told(self) -> str:
        return "&".join(f"{name}={value[:24]}" for name, value in self.given)


@dataclass(frozen=True)
class Seen:
    list: List
    walls_ms: tuple[float, ...]
    cpu_ms: float


def filters(number: int, serial: str, now: datetime) -> list[tuple[str, str]]:
    """What finds very many, some, few and none of the copies of `tests.integration.registry.many_rows`."""
    middle = name_of(number // 2 + 100)
    return [
        *(("owner", value) for value in ("team-3", "team-4")),
        *(("label", value) for value in ("tier=gold", "tier=tin", "team=team-3", "team=team-4")),
        *(("site", f"site-{place}") for place in range(1, SITES + 1)),
        *(("target", value) for value in ("files", "haproxy")),
        *(("exposure", value) for value in ("internal", "public")),
        *(("ca", value) for value in ("ca", "other")),
        *(("state", value) for value in ("live", "delivering")),
        *(("health", value) for value in ("ok", "degraded", "progressing")),
        ("key", "ec-p256"),
        *(("domain", value) for value in ("team-3.test", "team-4.test")),
        *(("q", value) for value in ("cert", "team-3", middle[5:], "nothing")),
        ("dns", host_of(middle)),
        ("serial", serial),
        ("expires_before", (now + timedelta(days=89)).isoformat()),
        ("expires_before", (now + timedelta(days=91)).isoformat()),
        ("expires_after", (now + timedelta(days=89)).isoformat()),
        ("renews_before", (now + timedelta(days=60)).isoformat()),
    ]


def lists(number: int, serial: str, now: datetime) -> Iterator[List]:
    """Two values of one filter are given where it takes several."""
    singles = [(one,) for one in filters(number, serial, now)]
    pairs = [
        (one, other)
        for one, other in itertools.combinations(filters(number, serial, now), 2)
        if one[0] != other[0] or one[0] == "label"
    ]
    counted = ("facets", ",".join(Facet))
    in_names = cursor_at(Order.NAME, Place(name_of(number // 2), NEVER))
    in_ends = cursor_at(Order.EXPIRES, Place(name_of(number // 2), now + timedelta(days=90) - timedelta(hours=14)))
    yield List("all", ())
    yield List("all, deep", (("after", in_names),))
    yield from (List("one filter", given) for given in singles)
    yield from (List("one filter, deep", (*given, ("after", in_names))) for given in singles)
    yield from (List("two filters", given) for given in pairs)
    for order in (Order.NAME_DOWN, Order.EXPIRES, Order.EXPIRES_DOWN, Order.RENEWS):
        sort = ("sort", str(order))
        yield from (List(f"one filter, by {order}", (*given, sort)) for given in ((), *singles))
    yield from (
        List("one filter, by expires, deep", (*given, ("sort", "expires"), ("after", in_ends))) for given in singles
    )
    yield List("all, ten facets", (counted,))
    yield from (List("one filter, ten facets", (*given, counted)) for given in singles)
    yield from (List("two filters, ten facets", (*given, counted)) for given in pairs[::7])


async def measured(get: Get, asked: List) -> Seen:
    await get("/v1/certificates", (*asked.given, ("limit", "50")))
    walls, cpus = [], []
    for _ in range(_ANSWERS):
        began, cpu = time.perf_counter(), time.process_time()
        await get("/v1/certificates", (*asked.given, ("limit", "50")))
        walls.append((time.perf_counter() - began) * 1000)
        cpus.append((time.process_time() - cpu) * 1000)
    return Seen(asked, tuple(walls), statistics.median(cpus))


def by_group(seen: list[Seen]) -> Table:
    table = Table(
        "lists", "how many", "ms p99", f"limit {_WALL_MS:g}", "CPU ms", "worst", f"limit {_CPU_MS:g}", "beyond it"
    )
    for group in dict.fromkeys(one.list.group for one in seen):
        of_group = [one for one in seen if one.list.group == group]
        wall = statistics.quantiles([wall for one in of_group for wall in one.walls_ms], n=100)[-1]
        worst, beyond = max(one.cpu_ms for one in of_group), sum(one.cpu_ms > _CPU_MS for one in of_group)
        table.add_row(
            group,
            str(len(of_group)),
            f"{wall:.1f}",
            "ok" if wall <= _WALL_MS else "MISSED",
            f"{statistics.median(one.cpu_ms for one in of_group):.1f}",
            f"{worst:.1f}",
            "ok" if worst <= _CPU_MS else "MISSED",
            str(beyond or ""),
        )
    return table


def dearest(seen: list[Seen]) -> Table:
    table = Table("the dearest", "CPU ms", "longest ms")
    for one in sorted(seen, key=lambda one: -one.cpu_ms)[:_SHOWN]:
        table.add_row(f"{one.list.told} ({one.list.group})", f"{one.cpu_ms:.1f}", f"{max(one.walls_ms):.1f}")
    return table


async def cpu_ms(get: Get, path: str, given: Given = ()) -> float:
    found = []
    for _ in range(_ANSWERS + 1):
        cpu = time.process_time()
        await get(path, given)
        found.append((time.process_time() - cpu) * 1000)
    return statistics.median(found[1:])


def reviewed(now: datetime) -> Callable[[Transaction], None]:
    def work(transaction: Transaction) -> None:
        for place in range(1, SITES + 1):
            secrets = [
                DiscoveredSecret(
                    cluster="one",
                    namespace=f"ns-{number % 100}",
                    secret=f"tls-{number}",
                    manager="other",
                    not_after=now,
                )
                for number in range(_SECRETS)
            ]
            transaction.reviews.put(f"site-{place}", secrets, review="r")

    return work


async def in_process(path: Path, number: int, now: datetime) -> list[List]:
    database = a_database(f"sqlite:///{path}")
    try:
        made = copyable(database, now=now, first=time.time_ns())
        app, _ = routed(made, kept=_KEPT)

        def begin(transaction: Transaction) -> str:
            transaction.tokens.add(hash_token("lena"), _PERSON, now=made.now)
            live = transaction.certificates.named(name_of(number))
            assert live is not None
            return transaction.rollouts.of(live).revisions[0].serial

        serial = await made.store.write(begin)
        client = httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://registry")
        get = _getting(client, _LENA)
        asked = list(lists(number, serial, now))
        before = yardstick_ms()
        seen = [await measured(get, one) for one in asked]
        Console(width=150).print(by_group(seen))
        Console(width=150).print(dearest(seen))
        print(f"this machine: yardstick {before:.1f} ms before, {yardstick_ms():.1f} after")
        bare = _getting(
            httpx.AsyncClient(transport=httpx.ASGITransport(app=routed(made)[0]), base_url="http://r"), _LENA
        )
        cold = await cpu_ms(bare, "/v1/certificates", (("limit", "50"),))
        print(f"a page of 50 of which nothing is kept: {cold:.1f} CPU ms")
        one = await cpu_ms(get, f"/v1/certificates/{name_of(number // 2)}")
        print(f"one certificate: {one:.1f} CPU ms (limit {_CPU_MS:g}: {'ok' if one <= _CPU_MS else 'MISSED'})")
        few = await cpu_ms(get, "/v1/sites")
        await made.store.write(reviewed(now))
        many = await cpu_ms(get, "/v1/sites")
        print(f"/v1/sites: {few:.1f} CPU ms without reviews, {many:.1f} with {_SECRETS:,} Secrets in each site's")
        print(f"/list: {await cpu_ms(get, '/list'):.1f} CPU ms", flush=True)
        return asked
    finally:
        await database.close()


def _getting(client: httpx.AsyncClient, headers: dict[str, str]) -> Get:
    async def get(path: str, given: Given) -> httpx.Response:
        response = await client.get(path, params=list(given), headers=headers)
        assert response.status_code == 200, response.text
        return response

    return get


def memory_mib(pid: int, *, word: str) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) // 1024 for line in status.splitlines() if line.startswith(word))


async def asked_of_a_registry(folder: Path, asked: list[List]) -> None:
    """Its memory, when it was asked all of this by four at once."""
    async with servers.broker(sites=servers.SITES) as broker:
        process = RegistryProcess(folder=folder, nats_url=broker.url)
        try:
            await process.start()
            pid = process.child.pid or 0
            began = memory_mib(pid, word="VmRSS")
            async with httpx.AsyncClient(base_url=process.url, timeout=60.0, trust_env=False) as client:
                get, turn = _getting(client, _LENA), asyncio.Semaphore(4)

                async def one(given: Given, path: str = "/v1/certificates") -> None:
                    async with turn:
                        await get(path, given)

                await asyncio.gather(*(one((*item.given, ("limit", "500"))) for item in asked))
                await asyncio.gather(*(one((), path) for path in ("/v1/sites", "/list", "/v1/requests") * 5))
            now, most = (memory_mib(pid, word=word) for word in ("VmRSS", "VmHWM"))
            verdict = "ok" if most <= _MEMORY_MIB else "MISSED"
            print(f"a registry: {began} MiB at its start, {now} now, {most} at most (limit {_MEMORY_MIB}: {verdict})")
        finally:
            await process.stop()


async def main(number: int, kept: Path | None) -> None:
    structlog.configure(processors=[], logger_factory=structlog.ReturnLoggerFactory())
    with tempfile.TemporaryDirectory(prefix="certbus-bench-") as name:
        folder = Path(name)
        now = await a_copy(kept or folder / "kept", folder / "registry.db", number)
        asked = await in_process(folder / "registry.db", number, now)
        await asked_of_a_registry(folder, asked)


if __name__ == "__main__":
    asyncio.run(main(int((sys.argv[1:] or ["100000"])[0]), Path(sys.argv[2]) if sys.argv[2:] else None))

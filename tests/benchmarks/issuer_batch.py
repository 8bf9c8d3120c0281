"""A batch at the whole issuer: certificates a second beside the bare client, and what each costs.

`python -m tests.benchmarks.issuer_batch [CERTIFICATES] [PART…]`: the issuer as an operator starts it, with its
journal, a real broker and a registry that costs nothing gets so many orders at once; the bare client of
`bare_acme.py` does as many at a Pebble of the same kind, in turns. Each certificate has one name, a P-256 key and
http-01, sealed to two recipients and the escrow. PART is among quick, slow, nonces, lego, two; all by default.

quick and nonces: Pebble validates without a pause; nonces: it refuses 5 % of good nonces. slow: it validates after 0
to 3 s, and the ceiling beside is the bare client with as many threads as the issuer has jobs under way. two: one
issuer, then two on one PostgreSQL, each held to 0.4 cores by the kernel's CPU controller, which takes root.
lego: lego's library as it comes, at the quick CA; it waits five seconds a certificate, so it gets fewer.
"""

import asyncio
import logging
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Final

import structlog
from cryptography.hazmat.primitives.asymmetric import ec
from josepy.jwk import JWKEC

from certlocal.errors import PartMissingError
from issuer.cas.acme.jws import SigningKey
from tests import servers
from tests.benchmarks.bare_acme import BareClient
from tests.benchmarks.held_cpu import held
from tests.benchmarks.http01_responder import responder
from tests.benchmarks.issuer_seat import Cost, Seat, a_seat, asked_of
from tests.benchmarks.lego_library import LegoLibrary, built_lego, lego_library
from tests.benchmarks.registry_cost import cpu_s
from tests.postgres_server import postgres

_BARE: Final = "bare.example.org"
_TURNS: Final = 2
_WARM_UP: Final = 12
_BAD_NONCES_PERCENT: Final = 5
_SLOW_S: Final = 4
"""Pebble draws whole seconds below this one."""
_MANY: Final = 64
_CORES: Final = 0.4
_LEGO_WORKERS: Final = 16
_LEGO_CERTIFICATES: Final = 128
_LIMIT_S: Final = 120
"""And a second for each certificate."""
_BATCHES: Final = count(1)


class Bare:
    def __init__(self, pebble: servers.Pebble, client: BareClient) -> None:
        self._pebble = pebble
        self._client = client

    async def batch(self, names: Sequence[str]) -> Cost:
        pid = self._pebble.ca.process.pid or 0
        client, pebble, asked = time.process_time(), cpu_s(pid), asked_of(self._pebble)
        given_up, began = self._client.given_up, time.monotonic()
        await asyncio.to_thread(self._client.issue, [f"{name}.{_BARE}" for name in names])
        return Cost(
            certificates=len(names),
            wall_s=time.monotonic() - began,
            client_cpu_s=time.process_time() - client,
            pebble_cpu_s=cpu_s(pid) - pebble,
            requests=asked_of(self._pebble) - asked,
            given_up=self._client.given_up - given_up,
        )


def _thumbprints(folder: Path, key: ec.EllipticCurvePrivateKey) -> Path:
    folder.mkdir(parents=True)
    thumbprints = folder / "thumbprints"
    thumbprints.write_text(f"{_BARE} {SigningKey(key).thumbprint}\n")
    return thumbprints


class Lego:
    def __init__(self, pebble: servers.Pebble, library: LegoLibrary) -> None:
        self._pebble = pebble
        self._library = library

    async def batch(self, names: Sequence[str]) -> Cost:
        pid, library = self._pebble.ca.process.pid or 0, self._library
        client, pebble, asked = cpu_s(library.pid), cpu_s(pid), asked_of(self._pebble)
        given_up, began = library.given_up, time.monotonic()
        await library.issue([f"{name}.{_BARE}" for name in names])
        return Cost(
            certificates=len(names),
            wall_s=time.monotonic() - began,
            client_cpu_s=cpu_s(library.pid) - client,
            pebble_cpu_s=cpu_s(pid) - pebble,
            requests=asked_of(self._pebble) - asked,
            given_up=library.given_up - given_up,
        )


@asynccontextmanager
async def a_lego(folder: Path, program: Path, *, workers: int) -> AsyncIterator[Lego]:
    key = ec.generate_private_key(ec.SECP256R1())
    thumbprints = _thumbprints(folder, key)
    async with servers.pebble_ca(bad_nonces_percent=0) as pebble:
        web = responder(pebble.http01_port, source=thumbprints, log_path=folder / "web.log")
        try:
            web.start()
            await web.wait_ready()
            async with lego_library(
                program,
                folder,
                directory_url=pebble.directory_url,
                ca_file=pebble.ca_file,
                key=key,
                workers=workers,
            ) as library:
                yield Lego(pebble, library)
        finally:
            await web.stop()


@asynccontextmanager
async def a_bare_client(
    folder: Path, *, threads: int = 16, bad_nonces_percent: int = 0, validates_within_s: int = 0
) -> AsyncIterator[Bare]:
    key = ec.generate_private_key(ec.SECP256R1())
    thumbprints = _thumbprints(folder, key)
    async with servers.pebble_ca(
        bad_nonces_percent=bad_nonces_percent, validates_within_s=validates_within_s
    ) as pebble:
        web = responder(pebble.http01_port, source=thumbprints, log_path=folder / "web.log")
        try:
            web.start()
            await web.wait_ready()
            client = BareClient(
                directory_url=pebble.directory_url, ca_file=pebble.ca_file, key=JWKEC(key=key), threads=threads
            )
            await asyncio.to_thread(client.register)
            yield Bare(pebble, client)
        finally:
            await web.stop()


async def in_turns(batches: Sequence[Seat | Bare | Lego], certificates: int, *, turns: int = _TURNS) -> list[Cost]:
    """The same number at each, one after the other, so that none has the quieter machine."""
    for one in batches:
        await one.batch(_names(_WARM_UP))
    costs = [Cost() for _ in batches]
    for _ in range(turns):
        for one, cost in zip(batches, costs, strict=True):
            cost.add(await one.batch(_names(certificates)))
    return costs


def _names(number: int) -> list[str]:
    batch = next(_BATCHES)
    return [f"b{batch}-{each}" for each in range(number)]


class Table:
    """What was seen beside its limit; printed at the end."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def least(self, measure: str, seen: float, limit: float) -> None:
        self._line(measure, seen, f">= {limit:g}", kept=seen >= limit)

    def most(self, measure: str, seen: float, limit: float) -> None:
        self._line(measure, seen, f"<= {limit:g}", kept=seen <= limit)

    def _line(self, measure: str, seen: float, limit: str, *, kept: bool) -> None:
        self._lines.append(f"{measure:56} {seen:8.2f} {limit:>8} {'' if kept else 'NOT KEPT'}")

    def print(self) -> None:
        if not self._lines:
            return
        print(f"{'measure':56} {'seen':>8} {'limit':>8}")
        print("\n".join(self._lines))


async def quick(folder: Path, certificates: int, table: Table) -> None:
    async with a_seat(folder / "ours") as seat, a_bare_client(folder / "bare") as bare:
        ours, beside = await in_turns([seat, bare], certificates)
    print(ours.told("issuer, quick CA"))
    print(beside.told("bare, quick CA, 16 threads"))
    table.least("quick CA: rate beside the bare client", ours.rate / beside.rate, 0.8)
    table.most("quick CA: CPU ms a certificate", ours.cpu_ms, 15)


async def slow(folder: Path, certificates: int, table: Table) -> None:
    async with (
        a_seat(folder / "ours", validates_within_s=_SLOW_S, in_flight=_MANY) as seat,
        a_bare_client(folder / "bare", validates_within_s=_SLOW_S, threads=_MANY) as bare,
    ):
        ours, beside = await in_turns([seat, bare], certificates)
    print(ours.told("issuer, slow CA"))
    print(beside.told(f"bare, slow CA, {_MANY} threads"))
    table.least("slow CA: rate beside the ceiling", ours.rate / beside.rate, 0.9)
    table.most("slow CA: requests a certificate", ours.requests_each, 9)


async def nonces(folder: Path, certificates: int, table: Table) -> None:
    async with (
        a_seat(folder / "good") as good,
        a_seat(folder / "bad", bad_nonces_percent=_BAD_NONCES_PERCENT) as bad,
    ):
        without, with_bad = await in_turns([good, bad], certificates)
    print(without.told("issuer, no bad nonces"))
    print(with_bad.told(f"issuer, {_BAD_NONCES_PERCENT} % bad nonces"))
    table.least("5 % bad nonces: rate beside without", with_bad.rate / without.rate, 0.85)


async def two(folder: Path, certificates: int, table: Table) -> None:
    costs: list[Cost] = []
    async with postgres() as server:
        for number in (1, 2):
            url = await server.database(f"journal{number}")
            async with a_seat(folder / str(number), database_url=url, issuers=number) as seat:
                with ExitStack() as holding:
                    for issuer in seat.issuers:
                        holding.enter_context(held(issuer.process.pid or 0, cores=_CORES))
                    (cost,) = await in_turns([seat], certificates, turns=1)
            costs.append(cost)
            print(cost.told(f"{number} on PostgreSQL at {_CORES} cores each"))
    one, both = costs
    table.least("two processes: rate beside one", both.rate / one.rate, 1.5)


async def lego(folder: Path, certificates: int, table: Table) -> None:
    del table
    try:
        program = await asyncio.to_thread(built_lego, print)
    except PartMissingError as error:
        print(f"lego's library, not measured: {error}")
        return
    async with a_lego(folder / "lego", program, workers=_LEGO_WORKERS) as library:
        (cost,) = await in_turns([library], min(certificates, _LEGO_CERTIFICATES), turns=1)
    print(cost.told(f"lego's library, quick CA, {_LEGO_WORKERS} workers"))


_PARTS: Final = {"quick": quick, "slow": slow, "nonces": nonces, "lego": lego, "two": two}


async def _measured(part: str, certificates: int, table: Table) -> None:
    """Pebble can hang for ever (an order is made while an authorization is read): then all is done once more."""
    while True:
        with tempfile.TemporaryDirectory(prefix="certbus-") as name:
            try:
                async with asyncio.timeout(_LIMIT_S + certificates):
                    return await _PARTS[part](Path(name), certificates, table)
            except TimeoutError:
                print(f"{part}: not done after {_LIMIT_S + certificates} s, most likely as Pebble hangs: once more")


async def main(certificates: int, parts: Sequence[str]) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    table = Table()
    print(Cost.heading())
    for part in parts:
        await _measured(part, certificates, table)
    print()
    table.print()


if __name__ == "__main__":
    asyncio.run(main(int((sys.argv[1:] or ["300"])[0]), sys.argv[2:] or [*_PARTS]))

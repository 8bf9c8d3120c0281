"""A real issuer for a benchmark, with what it needs around it: broker, Pebble, and a registry that costs nothing."""

import asyncio
import base64
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import nats
from cryptography import x509

from certcore.certificate import Exposure
from tests import servers
from tests.benchmarks.http01_responder import responder
from tests.benchmarks.quick_registry import QuickRegistry, quick_registry
from tests.benchmarks.registry_cost import cpu_s
from tests.integration.issuer.bus_peer import BusPeer, an_order
from tests.integration.issuer.issuer_process import IssuerProcess

__all__ = ["DOMAIN", "Cost", "Seat", "a_seat", "asked_of"]

DOMAIN: Final = "issuer.example.org"
_ASKED: Final = "-> calling handler()"
_COMMITS: Final = "certbus_database_commits_total"


@dataclass
class Cost:
    certificates: int = 0
    wall_s: float = 0.0
    client_cpu_s: float = 0.0
    pebble_cpu_s: float = 0.0
    requests: int = 0
    commits: float = 0.0
    given_up: int = 0

    @property
    def rate(self) -> float:
        return self.certificates / self.wall_s

    @property
    def cpu_ms(self) -> float:
        return self.client_cpu_s * 1000 / self.certificates

    @property
    def requests_each(self) -> float:
        return self.requests / self.certificates

    @property
    def commits_each(self) -> float:
        return self.commits / self.certificates

    def add(self, other: "Cost") -> None:
        for name in self.__dataclass_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def told(self, who: str) -> str:
        pebble_ms = self.pebble_cpu_s * 1000 / self.certificates
        return (
            f"{who:34} {self.rate:8.1f} {self.cpu_ms:8.1f} {pebble_ms:8.1f} {self.requests_each:9.2f}"
            f" {self.commits_each:8.2f} {self.given_up:8}"
        )

    @staticmethod
    def heading() -> str:
        return f"{'':34} {'certs/s':>8} {'CPU ms':>8} {'Pebble':>8} {'requests':>9} {'commits':>8} {'given up':>8}"


@dataclass(frozen=True)
class Seat:
    """`issuers` share the broker, the Pebble and the journal."""

    pebble: servers.Pebble
    registry: QuickRegistry
    peer: BusPeer
    issuers: Sequence[IssuerProcess]

    async def batch(self, names: Sequence[str]) -> Cost:
        """What it costs to issue one certificate for each of the names, ordered all at once."""
        before = await self._spent()
        wanted = len(self.registry.taken) + len(names)
        began = time.monotonic()
        await asyncio.gather(*(self._order(name) for name in names))
        await self.registry.wait_for(wanted)
        wall_s = time.monotonic() - began
        await self._at_rest()
        cost = await self._spent()
        for name in ("client_cpu_s", "pebble_cpu_s", "requests", "commits", "given_up"):
            setattr(cost, name, getattr(cost, name) - getattr(before, name))
        cost.certificates, cost.wall_s = len(names), wall_s
        self._check(names)
        return cost

    async def _order(self, name: str) -> None:
        await self.peer.order(an_order(name, f"{name}.{DOMAIN}", exposure=Exposure.PUBLIC))

    async def _at_rest(self) -> None:
        """What is stored after a bundle was handed over belongs to it."""
        while True:
            commits = await self._commits()
            await asyncio.sleep(0.3)
            if await self._commits() == commits:
                return

    async def _spent(self) -> Cost:
        cpu = sum(cpu_s(issuer.process.pid or 0) for issuer in self.issuers)
        given_up = sum(issuer.process.log_path.read_text().count('"order_abandoned"') for issuer in self.issuers)
        return Cost(
            client_cpu_s=cpu,
            pebble_cpu_s=cpu_s(self.pebble.ca.process.pid or 0),
            requests=asked_of(self.pebble),
            commits=await self._commits(),
            given_up=given_up,
        )

    async def _commits(self) -> float:
        total = 0.0
        async with httpx.AsyncClient(trust_env=False) as client:
            for issuer in self.issuers:
                text = (await client.get(f"{issuer.url}/metrics")).text
                total += sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(_COMMITS))
        return total

    def _check(self, names: Sequence[str]) -> None:
        for name in names:
            leaf = x509.load_pem_x509_certificates(self.registry.chains[name].encode())[0]
            signed = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            assert signed.get_values_for_type(x509.DNSName) == [f"{name}.{DOMAIN}"]
        assert max(self.registry.taken.values()) == 1
        assert max(Counter(self.pebble.finalized_orders()).values()) == 1


def asked_of(pebble: servers.Pebble) -> int:
    """How many requests it got since it was started."""
    return pebble.log_path.read_text().count(_ASKED)


@asynccontextmanager
async def a_seat(
    folder: Path,
    *,
    bad_nonces_percent: int = 0,
    validates_within_s: int = 0,
    database_url: str | None = None,
    issuers: int = 1,
    in_flight: int | None = None,
) -> AsyncIterator[Seat]:
    """Several issuers show their challenges in one folder, which a web server that is no part of them serves."""
    folder.mkdir(parents=True)  # noqa: ASYNC240 # nothing else runs yet
    key = folder / "journal.key"
    key.write_text(base64.urlsafe_b64encode(secrets.token_bytes(32)).decode())
    key.chmod(0o600)
    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(servers.broker(sites=servers.SITES))
        pebble = await stack.enter_async_context(
            servers.pebble_ca(bad_nonces_percent=bad_nonces_percent, validates_within_s=validates_within_s)
        )
        registry = await stack.enter_async_context(quick_registry())
        client = await nats.connect(broker.url)
        stack.push_async_callback(client.close)
        ca = {
            "name": "pebble",
            "directory_url": pebble.directory_url,
            "ca_file": str(pebble.ca_file),
            "challenges": ["http-01"],
            **({"in_flight": in_flight} if in_flight else {}),
        }
        settings: dict[str, Any] = {
            "cas": [ca],
            "policy": {"internal": "pebble", "public": "pebble"},
            "journal_key_file": str(key),
            # As it is unless it is configured: no traces.
            "telemetry": {"log_level": "info"},
        }
        more_solvers: dict[str, dict[str, Any]] = {}
        if issuers > 1 or database_url is not None:
            webroot = folder / "webroot"
            webroot.mkdir()
            more_solvers["web"] = {"kind": "webroot", "folder": str(webroot)}
            web = responder(pebble.http01_port, source=webroot, log_path=folder / "web.log")
            stack.push_async_callback(web.stop)
            web.start()
            await web.wait_ready()
        running = []
        for number in range(issuers):
            home = folder / str(number)
            home.mkdir()
            issuer = IssuerProcess(
                home,
                pebble,
                broker.url,
                registry.url,
                database_url=database_url,
                more_settings=settings,
                more_solvers=more_solvers,
            )
            stack.push_async_callback(issuer.stop)
            await issuer.start()
            running.append(issuer)
        yield Seat(pebble, registry, BusPeer(client.jetstream()), running)

"""Issuers on one journal beside one scripted CA: killed at exact requests, and started again."""

import asyncio
import random
import secrets
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from certcore.events import IssueOrder
from certcore.placements import PLATFORM
from certlocal.listeners import opened_by_session
from certlocal.tools import Tell
from tests import servers
from tests.acme_ca.acts import called_back
from tests.acme_ca.calls import Call, Endpoint
from tests.acme_ca.running import RunningCa, running_ca
from tests.acme_ca.script import Rule
from tests.acme_ca.server import ScriptedCa
from tests.holds.figures import Figure
from tests.integration.issuer.bus_peer import BusPeer, an_order, bus_peer
from tests.integration.issuer.issuer_process import IssuerProcess
from tests.integration.issuer.recipients import opened
from tests.integration.issuer.scene import until
from tests.patience import HANG_S
from tests.ports import free_port
from tests.postgres_server import postgres
from tests.registry_standin import RegistryStandin, registry_standin

__all__ = ["Hosts", "one_host", "two_hosts"]


@dataclass
class Hosts:
    """`rest_s` is the longest that a killed host stays away; with `stays_dead`, for good."""

    ca: ScriptedCa
    peer: BusPeer
    registry: RegistryStandin
    issuers: Sequence[IssuerProcess]
    chance: random.Random
    rest_s: float = 1.0
    stays_dead: bool = False
    kills: int = 0
    ordered: list[str] = field(default_factory=list)

    async def order(self, name: str) -> None:
        self.ordered.append(name)
        await self.peer.order(self.issue_order(name))

    def issue_order(self, name: str) -> IssueOrder:
        return an_order(name, dns_name(name))

    def kill_at(self, endpoint: Endpoint, name: str, *, acts_first: bool) -> Rule:
        """Kill the host that asks for that, before or after the CA acts."""

        def kill(call: Call) -> None:
            self._asking(call).process.kill()
            self.kills += 1

        return self.ca.script.add(called_back(kill, acts_first=acts_first), endpoint, name=dns_name(name))

    async def killed(self, times: int) -> None:
        await until(lambda: self.kills >= times, what=f"kill {times}", timeout_s=2 * HANG_S)

    def _asking(self, call: Call) -> IssuerProcess:
        """The host at the other end of the connection."""
        sockets = _client_sockets(call.client_port, urlsplit(call.url).port)
        for issuer in self.issuers:
            pid = issuer.process.pid
            if pid is not None and sockets and opened_by_session(sockets, pid):
                return issuer
        raise AssertionError(f"nobody here asked for {call.url}")

    async def issued(self, names: Collection[str] | None = None) -> None:
        names = self.ordered if names is None else names

        def missing() -> list[str]:
            return [name for name in names if (name, 1, PLATFORM) not in self.registry.issued]

        try:
            await until(lambda: not missing(), what="all are issued", timeout_s=2 * HANG_S)
        except AssertionError as error:
            raise AssertionError(f"{error}: {missing()[:10]}; {self._told(missing()[0])}") from None

    def _told(self, name: str) -> list[str]:
        """The last that the hosts logged about it."""
        lines = [
            f"{issuer.name}: {line}"
            for issuer in self.issuers
            for line in issuer.process.log_path.read_text().splitlines()
            if f'"{name}"' in line
        ]
        return lines[-6:]

    def figures(self, what: str) -> list[Figure]:
        """Of all that was ordered: what was finalized, handed over and left behind."""
        jobs = len(self.ordered)
        for name in self.ordered:
            opened(self.registry.issued[name, 1, PLATFORM], name, 1)
        finalized = [len(self.ca.finalized(dns_name(name))) for name in self.ordered]
        left = sum(len(self.ca.pending(dns_name(name))) for name in self.ordered)
        return [
            Figure(f"{what}: jobs", jobs, unit=""),
            Figure(f"{what}: kills", self.kills, unit=""),
            Figure(f"{what}: jobs with another number of finalized orders than one", _not_one(finalized), 0, unit=""),
            Figure(f"{what}: jobs with two different bundles", len(self.registry.differing), 0, unit=""),
            Figure(f"{what}: abandoned pending orders", left, self.kills, unit=""),
            Figure(f"{what}: accounts made", len(self.ca.books.accounts), 1, unit=""),
        ]

    async def revive(self, issuer: IssuerProcess) -> None:
        """Start that host again whenever it was killed."""
        while True:
            while issuer.process.alive:  # noqa: ASYNC110 # another process
                await asyncio.sleep(0.02)
            if self.stays_dead:
                return
            await asyncio.sleep(self.chance.uniform(0.0, self.rest_s))
            issuer.process.start()


def dns_name(name: str) -> str:
    return f"{name}.example.org"


def _not_one(counts: Collection[int]) -> int:
    return sum(count != 1 for count in counts)


def _client_sockets(port: int, server: int | None) -> frozenset[int]:
    """The inodes of sockets whose own end is that port, and whose other end is the server's: to other servers other
    programs may use the same port.
    """
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    # A socket that nobody holds any more has no inode.
    return frozenset(
        int(row[9]) for row in rows if (_port(row[1]), _port(row[2])) == (port, server) and row[9] != "0"
    )


def _port(address: str) -> int:
    return int(address.partition(":")[2], 16)


@asynccontextmanager
async def one_host(folder: Path, *, seed: int, tell: Tell) -> AsyncIterator[Hosts]:
    async with _around(folder, tell=tell) as (ca, peer, registry, bus):
        issuer = IssuerProcess(_made(folder / "one"), ca, bus, registry.url)
        async with _running(Hosts(ca.ca, peer, registry, [issuer], random.Random(seed))) as hosts:
            yield hosts


@asynccontextmanager
async def two_hosts(folder: Path, *, seed: int, tell: Tell, shared: bool) -> AsyncIterator[Hosts]:
    """Two issuers, each with a state folder of its own and one journal on PostgreSQL; `shared`: on one machine, with
    one state folder and one journal in a file.
    """
    async with _around(folder, tell=tell) as (ca, peer, registry, bus):
        first = _made(folder / "one")
        if shared:
            pair = [
                IssuerProcess(first, ca, bus, registry.url),
                IssuerProcess(first, ca, bus, registry.url, name="second", http01_port=free_port()),
            ]
            async with _running(Hosts(ca.ca, peer, registry, pair, random.Random(seed))) as hosts:
                yield hosts
            return
        async with postgres() as server:
            key_file = folder / "journal.key"
            key_file.touch(mode=0o600)
            key_file.write_text(urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=").decode())
            env, url = {"CERTBUS_ISSUER_JOURNAL_KEY_FILE": str(key_file)}, await server.database("journal")
            second = _made(folder / "two")
            pair = [
                IssuerProcess(first, ca, bus, registry.url, env=env, database_url=url),
                IssuerProcess(
                    second,
                    ca,
                    bus,
                    registry.url,
                    env=env,
                    database_url=url,
                    name="second",
                    http01_port=free_port(),
                ),
            ]
            async with _running(Hosts(ca.ca, peer, registry, pair, random.Random(seed))) as hosts:
                yield hosts


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


@asynccontextmanager
async def _around(folder: Path, *, tell: Tell) -> AsyncIterator[tuple[RunningCa, BusPeer, RegistryStandin, str]]:
    async with (
        running_ca(folder, tell=tell) as ca,
        servers.broker(sites=servers.SITES) as broker,
        registry_standin() as registry,
        bus_peer(broker.url) as peer,
    ):
        yield ca, peer, registry, broker.url


@asynccontextmanager
async def _running(hosts: Hosts) -> AsyncIterator[Hosts]:
    reviving: list[asyncio.Task[None]] = []
    try:
        for issuer in hosts.issuers:
            # One by one: both would bring the schema up to date.
            await issuer.start()
        reviving = [asyncio.create_task(hosts.revive(issuer)) for issuer in hosts.issuers]
        yield hosts
    finally:
        for task in reviving:
            task.cancel()
        ended = await asyncio.gather(*reviving, return_exceptions=True)
        for issuer in hosts.issuers:
            await issuer.stop()
        for error in ended:
            if isinstance(error, Exception):
                raise error

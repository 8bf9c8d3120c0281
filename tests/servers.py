"""Real servers for tests. Each starts in a folder of its own, on ports that nobody else has."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import nats

from certcore.identities import OPERATOR
from certcore.permissions import accounts, grants
from certkit.bounds import Bounds
from certkit.declare import declare
from certkit.topology import topology
from certlocal.haproxy_server import HaproxyServer
from certlocal.kube_servers import ClusterUser, EtcdServer, KubeApiServer, secret_writer
from certlocal.nats_identities import NatsIdentities
from certlocal.nats_server import NatsServer
from certlocal.pebble_ca import ChallengeDns, PebbleCa, PebblePorts
from certlocal.tools import ETCD, KUBE_APISERVER, PEBBLE, PEBBLE_CHALLTESTSRV, Tell, Toolbox
from tests.ports import free_port

__all__ = [
    "Cluster",
    "Haproxies",
    "Kube",
    "Pebble",
    "SecuredBroker",
    "broker",
    "haproxies",
    "kubernetes",
    "pebble_ca",
    "secured_broker",
]

SITES = ("site1", "site2")

Haproxies = Callable[[str], Awaitable[HaproxyServer]]
"""Starts a HAProxy with a configuration; it is stopped at the end of the test."""


@asynccontextmanager
async def _folder() -> AsyncIterator[Path]:
    # Short, for the sake of unix sockets.
    folder = Path(tempfile.mkdtemp(prefix="certbus-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def broker(
    *, accounts: str | None = None, sites: Sequence[str] | None = None, owners: Sequence[str] = ()
) -> AsyncIterator[NatsServer]:
    """A broker; with `sites`, their streams and consumers are declared, and those of the owners."""
    async with _folder() as folder:
        server = NatsServer(folder=folder, port=free_port(), monitor_port=free_port(), accounts=accounts)
        try:
            await server.start()
            if sites is not None:
                client = await nats.connect(server.url)
                await declare(client.jetstream(), topology(sites, owners=owners), apply=True)
                await client.close()
            yield server
        finally:
            await server.stop()


@dataclass(frozen=True)
class SecuredBroker:
    """A broker that lets each identity do what `certcore.permissions` grants it; `operator` is among them."""

    server: NatsServer
    identities: NatsIdentities

    @property
    def url(self) -> str:
        return self.server.url

    def seed_file(self, identity: str) -> Path:
        return self.identities.seed_file(identity)


@asynccontextmanager
async def secured_broker(
    *, sites: Sequence[str] = SITES, owners: Sequence[str] = (), bounds: Bounds | None = None
) -> AsyncIterator[SecuredBroker]:
    """A broker with permissions, and with the streams and consumers of the sites and owners."""
    granted = grants(sites=sites, owners=owners)
    async with _folder() as folder:
        identities = NatsIdentities(folder / "identities")
        block = accounts(granted, identities.public_keys(granted))
        async with broker(accounts=block) as server:
            client = await nats.connect(
                server.url,
                nkeys_seed=str(identities.seed_file(OPERATOR)),
                inbox_prefix=f"_INBOX.{OPERATOR}".encode(),
            )
            await declare(client.jetstream(), topology(sites, owners=owners, bounds=bounds), apply=True)
            await client.close()
            yield SecuredBroker(server, identities)


@dataclass(frozen=True, kw_only=True)
class Pebble:
    """A CA, and the DNS server that its validation asks. `dns` is host:port, `http01_port` where Pebble connects."""

    ca: PebbleCa
    challenge_dns: ChallengeDns

    @property
    def directory_url(self) -> str:
        return self.ca.directory_url

    @property
    def ca_file(self) -> Path:
        return self.ca.ca_file

    @property
    def roots_file(self) -> Path:
        return self.ca.roots_file

    @property
    def challtestsrv_url(self) -> str:
        return self.challenge_dns.url

    @property
    def dns(self) -> str:
        return self.challenge_dns.dns

    @property
    def http01_port(self) -> int:
        return self.ca.http01_port

    @property
    def log_path(self) -> Path:
        return self.ca.log_path

    def finalized_orders(self) -> list[str]:
        return self.ca.finalized_orders()


@asynccontextmanager
async def pebble_ca(
    *,
    bad_nonces_percent: int = 5,
    validates_within_s: int = 0,
    asks: str | None = None,
    tell: Tell = print,
    program: Path | None = None,
) -> AsyncIterator[Pebble]:
    """Pebble of the version that this tree pins, or that `program`. Its validation asks the DNS server `asks`
    (host:port), or else the one that starts with it.
    """
    toolbox = Toolbox(tell=tell)
    async with _folder() as folder:
        dns = ChallengeDns(
            program=toolbox.find(PEBBLE_CHALLTESTSRV),
            folder=folder,
            dns_port=free_port(),
            management_port=free_port(),
        )
        ports = PebblePorts(acme=free_port(), management=free_port(), http01=free_port(), tls_alpn01=free_port())
        ca = PebbleCa(
            program=program or toolbox.find(PEBBLE),
            folder=folder,
            ports=ports,
            dns=asks or dns.dns,
            bad_nonces_percent=bad_nonces_percent,
            validates_within_s=validates_within_s,
        )
        try:
            await dns.start()
            await ca.start()
            yield Pebble(ca=ca, challenge_dns=dns)
        finally:
            await ca.stop()
            await dns.stop()


@dataclass(frozen=True)
class Cluster:
    """`kubeconfig` is the admin's; users are the admin and one `<site>-syncer` for each site."""

    api: KubeApiServer

    @property
    def name(self) -> str:
        return self.api.name

    @property
    def kubeconfig(self) -> Path:
        return self.api.kubeconfig

    @property
    def server(self) -> str:
        return self.api.server

    @property
    def ca_file(self) -> Path:
        return self.api.ca_file

    def token_of(self, user: str) -> str:
        return self.api.token_of(user)


@dataclass(frozen=True)
class Kube:
    clusters: tuple[Cluster, ...]


@asynccontextmanager
async def kubernetes(
    *, names: Sequence[str] = SITES, users: Sequence[ClusterUser] = (), tell: Tell = print
) -> AsyncIterator[Kube]:
    """API servers on one etcd. Their Secrets outlive a test: take a namespace of your own in each."""
    toolbox = Toolbox(tell=tell)
    etcd_program, api_program = toolbox.find(ETCD), toolbox.find(KUBE_APISERVER)
    async with _folder() as folder, AsyncExitStack() as running:
        etcd = EtcdServer(
            program=etcd_program, folder=folder / "etcd", client_port=free_port(), peer_port=free_port()
        )
        running.push_async_callback(etcd.stop)
        await etcd.start()
        clusters = [
            KubeApiServer(
                program=api_program,
                name=name,
                folder=folder / name,
                port=free_port(),
                etcd_url=etcd.url,
                users=[*(secret_writer(f"{site}-syncer") for site in SITES), *users],
            )
            for name in names
        ]
        for cluster in clusters:
            running.push_async_callback(cluster.stop)
        await asyncio.gather(*(cluster.start() for cluster in clusters))
        yield Kube(tuple(Cluster(cluster) for cluster in clusters))


@asynccontextmanager
async def haproxies(*, tell: Tell = print) -> AsyncIterator[Haproxies]:
    started: list[HaproxyServer] = []
    async with _folder() as folder:

        async def start(configuration: str) -> HaproxyServer:
            server = HaproxyServer(folder=folder / str(len(started)), configuration=configuration, tell=tell)
            started.append(server)
            await server.start()
            return server

        try:
            yield start
        finally:
            for server in started:
                await server.stop()

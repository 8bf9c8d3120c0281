"""A whole certbus on this machine: servers, services, two sites, all on loopback, all ended with this process."""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final

import nats.errors
from nats.aio.client import Client

from certbus.client import Registry
from certbus.connection import Connection
from certcore.api import Role
from certcore.enrolment import RecipientEnrolment, SiteEnrolment
from certcore.identities import ESCROW, OPERATOR, identity, recipient_name
from certcore.permissions import accounts, grants
from certcore.sealing import generate_recipient_key
from certcore.tokens import TokenOrder
from certkit.bus_client import connect_bus
from certkit.declare import declare
from certkit.migration import Migrated
from certkit.settings import BusSettings
from certkit.topology import topology
from certlocal.edge import make_edge
from certlocal.errors import LocalError
from certlocal.home import Home
from certlocal.kube_servers import EtcdServer, KubeApiServer, secret_writer
from certlocal.local_ca import LocalCa
from certlocal.local_dns import make_dns
from certlocal.nats_identities import NatsIdentities
from certlocal.nats_server import NatsServer
from certlocal.pebble_ca import ChallengeDns, PebbleCa, PebblePorts
from certlocal.process import ChildProcess, Start
from certlocal.readiness import answers
from certlocal.requests import NAMESPACES, SECRET, Places
from certlocal.services import SITES, Service, Surroundings, service_processes
from certlocal.tools import ETCD, KUBE_APISERVER, PEBBLE, PEBBLE_CHALLTESTSRV, Toolbox

__all__ = ["PEOPLE", "LocalSystem"]

Tell = Callable[[str], None]
Listener = dict[str, str | dict[str, str]]
"""One listener in the configuration of `certlocal.site_application`."""

PEOPLE: Final = {
    "alice": TokenOrder(subject="alice", owner="team-shop", roles=(Role.VIEWER, Role.REQUESTER, Role.APPROVER)),
    "bob": TokenOrder(subject="bob", owner="security", roles=(Role.VIEWER, Role.APPROVER)),
}
"""Alice asks, Bob approves. Alice may approve too, but never what she asked for herself."""

OWNERS: Final = ("team-shop",)
"""Teams whose provisioning tools may publish requests on the bus."""


class LocalSystem:
    """Start it, use it, stop it. A service that dies meanwhile is started again."""

    def __init__(
        self,
        home: Home,
        *,
        kubernetes: bool,
        tell: Tell,
        without: str | None = None,
        knot: bool = True,
        owners: Sequence[str] = OWNERS,
        start: Start | None = None,
    ) -> None:
        """The service `without`, one of SERVICES, is left to somebody else to run; the start waits for it.

        `owners` are those who may ask over the bus. Without `knot`, or where that can't be had, all names are proven
        by the CA's test server. `start` is for the processes of our services.
        """
        self.home = home
        self._start = start
        self.owners = tuple(owners)
        self.kubernetes = kubernetes or home.has_kubernetes
        self.services: dict[str, Service] = {}
        self.clusters: dict[str, KubeApiServer] = {}
        self.applications: dict[str, ChildProcess] = {}
        self.restarts = 0
        self._without = without
        self._held: set[str] = {without} if without else set()
        self._tell = tell
        self._started: list[Callable[[], Awaitable[None]]] = []
        self._watching: asyncio.Task[None] | None = None
        port = home.ports.port
        self.registry_port = port("registry", wanted=8400)
        self.registry_url = f"https://127.0.0.1:{self.registry_port}"
        # Endpoints are stored with their ports, so a later start must find the same ones.
        self.places = Places(
            orders={site: port(f"{site}-app", fixed=True) for site in SITES},
            shop={site: port(f"{site}-shop", fixed=True) for site in SITES},
            clusters={site: port(f"{site}-cluster-app", fixed=True) for site in SITES if self.kubernetes},
            edge=port("edge", fixed=True),
        )
        self.identities = NatsIdentities(home.path("keys"))
        self._ca = LocalCa(home.path("tls"))
        self.ca_file = self._ca.ca_file
        toolbox = Toolbox(tell=tell)
        self._toolbox = toolbox
        granted = grants(sites=SITES, owners=self.owners)
        self.nats = NatsServer(
            folder=home.path("nats"),
            port=port("nats"),
            monitor_port=port("nats-monitor"),
            accounts=accounts(granted, self.identities.public_keys(granted)),
            tls=self._ca.server("nats"),
        )
        # Also for those that no service has, such as the teams' tools.
        for name in granted:
            self._ca.client(name)
        test_server = ChallengeDns(
            program=toolbox.find(PEBBLE_CHALLTESTSRV),
            folder=home.path("pebble"),
            dns_port=port("dns"),
            management_port=port("dns-management"),
        )
        self.dns = make_dns(home, test_server=test_server, tell=tell, knot=knot)
        self.pebble = PebbleCa(
            program=toolbox.find(PEBBLE),
            folder=home.path("pebble"),
            ports=PebblePorts(
                acme=port("pebble"),
                management=port("pebble-management"),
                http01=port("http01"),
                tls_alpn01=port("alpn"),
            ),
            dns=self.dns.resolver,
        )
        self.edge, self._edge_socket = make_edge(home, self.places.edge, tell)

    def connect(self, name: str = "admin") -> Registry:
        """The registry's API, as somebody whose token this folder holds; the token is shown to nobody else."""
        instance = self.services["registry"].process.instance
        token = self.home.token(name) or ""
        return Registry(Connection(self.registry_url, token, ca_file=self.ca_file, instance=instance))

    async def connect_bus(self, identity: str = OPERATOR, **options: Any) -> Client:
        """The bus, as one of the identities; `options` are those of nats-py."""
        client = self._ca.client(identity)
        return await connect_bus(
            BusSettings(
                url=self.nats.url,
                identity=identity,
                nkey_seed_file=self.identities.seed_file(identity),
                ca_file=client.ca_file,
                certificate_file=client.certificate_file,
                key_file=client.key_file,
            ),
            **options,
        )

    async def start(self) -> None:
        """Start everything, telling each part that is ready.

        Raises:
            LocalError: a part can't be had or doesn't start; what was started is for `stop`.
        """
        parts = [self._start_bus(), self._start_ca(), self._timed("haproxy", self.edge.start, self.edge.stop)]
        if self.kubernetes:
            parts.append(self._start_clusters())
        await asyncio.gather(*parts)
        around = Surroundings(
            nats_url=self.nats.url,
            nats_monitor_url=self.nats.monitor_url,
            registry_url=self.registry_url,
            registry_port=self.registry_port,
            acme_directory_url=self.pebble.directory_url,
            acme_ca_file=str(self.pebble.ca_file),
            acme_roots_file=str(self.pebble.roots_file),
            http01_port=self.pebble.http01_port,
            dns=self.dns.test_server.dns,
            dns_management_url=self.dns.test_server.url,
            resolver=self.dns.resolver,
            updated_dns=self.dns.updated,
            haproxy_socket=str(self._edge_socket),
            haproxy_port=self.places.edge,
            clusters={site: str(self.home.path("kubernetes", site, "syncer.kubeconfig")) for site in self.clusters},
        )
        self.services = service_processes(self.home, around, self.identities, self._ca, start=self._start)
        await self._start_services()
        self._watching = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """End every process, in the order opposite to their start."""
        if self._watching is not None:
            self._watching.cancel()
        services = [service.process.stop() for service in self.services.values()]
        await asyncio.gather(*services)
        for stop in reversed(self._started):
            await stop()

    async def kill(self, name: str) -> None:
        """SIGKILL a service; it is started again as any that dies."""
        self.services[name].process.kill()

    async def hold(self, name: str) -> None:
        """Stop a service and leave it stopped, as a site that is cut off."""
        self._held.add(name)
        await self.services[name].process.stop()

    async def release(self, name: str) -> None:
        """Start a held service again and wait until it is ready."""
        self._held.discard(name)
        self.services[name].process.start()
        await self.ready(name)

    async def ready(self, name: str) -> None:
        """Wait until a service is ready; without end for the one that somebody else runs.

        Raises:
            ProcessFailedError: it is not in time.
        """
        service = self.services[name]
        check = answers(f"{service.url}/readyz", instance=service.process.instance, ca_file=self.ca_file)
        if name == self._without:
            while not await check():  # noqa: ASYNC110 # somebody starts it by hand
                await asyncio.sleep(0.2)
            return
        watched = self._watching is not None and name not in self._held
        while watched and not service.process.alive:  # noqa: ASYNC110 # it was just killed, and is started again
            await asyncio.sleep(0.02)
        await service.process.wait_ready(check)

    def sign_in_link(self) -> str:
        """A link that opens the page once."""
        with self.connect() as registry:
            return f"{self.registry_url}/sign-in?code={registry.sign_in_code()}"

    async def _timed(
        self, name: str, start: Callable[[], Awaitable[None]], stop: Callable[[], Awaitable[None]]
    ) -> None:
        began = time.monotonic()
        self._started.append(stop)
        await start()
        self._tell(f"  ✓ {name} ({time.monotonic() - began:.1f} s)")

    async def _start_bus(self) -> None:
        await self._timed("nats-server", self.nats.start, self.nats.stop)
        # nats-py's own patience is sixty tries of two seconds each, in silence.
        try:
            client = await self.connect_bus(allow_reconnect=False, max_reconnect_attempts=2, connect_timeout=30)
        except (nats.errors.Error, OSError) as error:
            raise LocalError(f"the bus at {self.nats.url} can't be reached: {type(error).__name__}") from error
        try:
            for item in await declare(client.jetstream(), topology(SITES, owners=self.owners), apply=True):
                if isinstance(item, Migrated):
                    self._tell(f"  {item.line(applied=True)}")
        finally:
            await client.close()

    async def _start_ca(self) -> None:
        self.home.path("pebble").mkdir(exist_ok=True)
        test_server, knot = self.dns.test_server, self.dns.knot
        await self._timed("dns", test_server.start, test_server.stop)
        if knot is not None:
            await self._timed("knot (DNS of the names inside)", knot.start, knot.stop)
        await self._timed("pebble (ACME CA)", self.pebble.start, self.pebble.stop)

    async def _start_clusters(self) -> None:
        self._tell("  kubernetes: an API server for each site")
        programs = [await asyncio.to_thread(self._toolbox.find, tool) for tool in (ETCD, KUBE_APISERVER)]
        folder = self.home.path("kubernetes")
        folder.mkdir(exist_ok=True, mode=0o700)
        etcd = EtcdServer(
            program=programs[0],
            folder=folder / "etcd",
            client_port=self.home.ports.port("etcd"),
            peer_port=self.home.ports.port("etcd-peer"),
        )
        (folder / "etcd").mkdir(exist_ok=True, mode=0o700)
        await self._timed("etcd", etcd.start, etcd.stop)
        await asyncio.gather(*(self._start_cluster(site, programs[1], folder / site, etcd.url) for site in SITES))

    async def _start_cluster(self, site: str, program: Path, folder: Path, etcd_url: str) -> None:
        syncer = identity(site, "syncer")
        reader = f"{site}-ingress"
        cluster = KubeApiServer(
            program=program,
            name=site,
            folder=folder,
            port=self.home.ports.port(f"{site}-kube"),
            etcd_url=etcd_url,
            users=[secret_writer(syncer), secret_writer(reader)],
        )
        await self._timed(f"kube-apiserver of {site}", cluster.start, cluster.stop)
        cluster.write_kubeconfig(syncer, folder / "syncer.kubeconfig")
        cluster.write_kubeconfig(reader, folder / "ingress.kubeconfig")
        await cluster.ensure_namespaces(NAMESPACES)
        self.clusters[site] = cluster

    async def _start_services(self) -> None:
        registry = self.services["registry"]
        others = [service for service in self.services.values() if service is not registry]
        apps = [self._application(site) for site in SITES]

        async def start_registry() -> None:
            await self._start_service(registry)
            await asyncio.to_thread(self._enrol)
            self.home.describe_client(self.registry_url, ca_file=self.ca_file, instance=registry.process.instance)

        # The others show their tokens to whoever listens at the registry's port: it must be the registry by then.
        await asyncio.gather(start_registry(), *apps)
        await asyncio.gather(*(self._start_service(service) for service in others))

    async def _start_service(self, service: Service) -> None:
        began = time.monotonic()
        if service.name == self._without:
            self._tell(f"  … waiting for {service.name}; run it in another shell:\n{service.by_hand()}")
        else:
            service.process.start()
        await self.ready(service.name)
        self._tell(f"  ✓ {service.name} ({time.monotonic() - began:.1f} s)")

    def _enrol(self) -> None:
        """Sites, people and services get to know the registry; what is there from an earlier start stays."""
        orders = {**PEOPLE}
        for service, role in (("issuer", Role.ISSUER), (ESCROW, Role.ESCROW), ("monitor", Role.MONITOR)):
            orders[service] = TokenOrder(subject=service, owner="certbus", roles=(role,), endless=True)
        with self.connect() as registry:
            for site in SITES:
                recipients = []
                for kind in ("syncer", "pusher") if site == "site1" else ("syncer",):
                    name = recipient_name(site, kind)
                    key = generate_recipient_key(name, self.home.path("sites", site, f"{kind}.key"))
                    recipients.append(
                        RecipientEnrolment.model_validate({"service": kind, "public_key": key.public_key})
                    )
                    orders[name] = TokenOrder.model_validate(
                        {
                            "subject": name,
                            "owner": "certbus",
                            "roles": ["deliverer"],
                            "site": site,
                            "service": kind,
                            "endless": True,
                        }
                    )
                registry.enrol_site(site, SiteEnrolment(recipients=tuple(recipients)))
            for name, order in orders.items():
                if self.home.token(name) is None:
                    self.home.keep_token(name, registry.make_token(order).token)

    async def serve(self, name: str, listeners: list[Listener]) -> ChildProcess:
        """Start a stand-in application: it serves what it finds delivered, and is none of our services.

        Raises:
            ProcessFailedError: it doesn't start.
        """
        config = self.home.path("applications", f"{name}.json")
        config.parent.mkdir(exist_ok=True)
        config.write_text(json.dumps({"listeners": listeners}, indent=2))
        process = ChildProcess(
            name=f"application {name}",
            argv=[sys.executable, "-m", "certlocal.site_application", str(config)],
            log_path=self.home.path("logs", f"application-{name}.log"),
            ports=[int(str(listener["listen"]).rpartition(":")[2]) for listener in listeners],
        )

        async def start() -> None:
            process.start()
            await process.wait_ready()

        await self._timed(process.name, start, process.stop)
        return process

    def delivered_files(self, site: str, certificate: str) -> Path:
        """Where the syncer of a site puts the files of a certificate."""
        return self.home.path("sites", site, "files", certificate, "current")

    async def _application(self, site: str) -> None:
        listeners: list[Listener] = [
            {"listen": f"127.0.0.1:{self.places.orders[site]}", "files": str(self.delivered_files(site, "orders"))},
            {"listen": f"127.0.0.1:{self.places.shop[site]}", "files": str(self.delivered_files(site, "shop"))},
        ]
        if site in self.clusters:
            secret = {
                "kubeconfig": str(self.home.path("kubernetes", site, "ingress.kubeconfig")),
                "namespace": NAMESPACES[0],
                "secret": SECRET,
            }
            listeners.append({"listen": f"127.0.0.1:{self.places.clusters[site]}", "kubernetes": secret})
        self.applications[site] = await self.serve(site, listeners)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(0.1)
            for service in self.services.values():
                if not service.process.alive and service.name not in self._held:
                    self.restarts += 1
                    self._tell(f"  ! {service.name} ended with {service.process.returncode}: starting it again")
                    service.process.start()

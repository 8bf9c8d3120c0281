"""How the services of a local system are started: their settings, and nothing that they share but files and ports."""

import json
import shlex
import sys
from dataclasses import dataclass
from typing import Final

from certcore.identities import ESCROW, identity, recipient_name
from certcore.sealing import generate_recipient_key
from certlocal.home import Home
from certlocal.local_ca import LocalCa
from certlocal.local_dns import UpdatedDns
from certlocal.nats_identities import NatsIdentities
from certlocal.policy import policy_file
from certlocal.process import ChildProcess, Start

__all__ = ["INTERNAL_CA", "PUBLIC_CA", "SERVICES", "SITES", "Service", "Surroundings", "service_processes"]

SITES: Final = ("site1", "site2")
SERVICES: Final = (
    "registry",
    "issuer",
    ESCROW,
    "monitor",
    *(identity(site, "syncer") for site in SITES),
    identity("site1", "pusher"),
)
"""The services of a local system by name, in the order of their start."""
INTERNAL_CA: Final = "pebble-internal"
PUBLIC_CA: Final = "pebble-public"

Value = str | int | float | bool | list["Value"] | dict[str, "Value"]
"""A setting as JSON knows it."""


@dataclass(frozen=True)
class Surroundings:
    """What the services find around them. `clusters` are site → kubeconfig of the syncer's own user; `resolver` finds
    every name, as `dns` does, but with the records of `updated_dns`.
    """

    nats_url: str
    nats_monitor_url: str
    registry_url: str
    registry_port: int
    acme_directory_url: str
    acme_ca_file: str
    acme_roots_file: str
    http01_port: int
    dns: str
    dns_management_url: str
    resolver: str
    updated_dns: UpdatedDns | None
    haproxy_socket: str
    haproxy_port: int
    clusters: dict[str, str]


@dataclass(frozen=True)
class Service:
    name: str
    process: ChildProcess
    url: str

    def by_hand(self) -> str:
        """What to type in a shell to run it: its environment, which holds paths and no secrets, and its command."""
        exports = [f"export {name}={shlex.quote(value)}" for name, value in sorted(self.process.env.items())]
        return "\n".join([*exports, shlex.join(self.process.argv)])


def service_processes(
    home: Home, around: Surroundings, identities: NatsIdentities, ca: LocalCa, *, start: Start | None = None
) -> dict[str, Service]:
    """The services by name, not started yet; each listens on loopback and logs into <home>/logs. `start` is for their
    processes.
    """
    make = _Maker(home, around, identities, ca, start)
    found = [
        make.service("registry", "registry", _registry(home), port=around.registry_port),
        make.service("issuer", "issuer", _issuer(home, around)),
        make.escrow(_escrow(home)),
        make.service("monitor", "monitor", _monitor(home, around)),
        *(make.service(identity(site, "syncer"), "syncer", _syncer(home, around, site)) for site in SITES),
        make.service(identity("site1", "pusher"), "cdn_pusher", _pusher(home, around)),
    ]
    return {service.name: service for service in found}


@dataclass(frozen=True)
class _Maker:
    home: Home
    around: Surroundings
    identities: NatsIdentities
    ca: LocalCa
    start: Start | None

    def service(self, name: str, module: str, own: dict[str, Value], *, port: int | None = None) -> Service:
        client = self.ca.client(name)
        bus: dict[str, Value] = {
            "url": self.around.nats_url,
            "monitor_url": self.around.nats_monitor_url,
            "identity": name,
            "nkey_seed_file": str(self.identities.seed_file(name)),
            "ca_file": str(self.ca.ca_file),
            "certificate_file": str(client.certificate_file),
            "key_file": str(client.key_file),
        }
        kind = module.removeprefix("cdn_")
        return self._process(name, kind, [module], {"bus": bus, **own}, port=port)

    def escrow(self, own: dict[str, Value]) -> Service:
        """It has no name on the bus."""
        return self._process(ESCROW, ESCROW, ["issuer", ESCROW], own)

    def _process(
        self, name: str, kind: str, argv: list[str], own: dict[str, Value], *, port: int | None = None
    ) -> Service:
        port = port or self.home.ports.port(name)
        server = self.ca.server(name)
        settings: dict[str, Value] = {
            "http": {
                "host": "127.0.0.1",
                "port": port,
                "certificate_file": str(server.certificate_file),
                "key_file": str(server.key_file),
            },
            "telemetry": {"trace_file": str(self.home.path("traces", f"{name}.jsonl"))},
            **own,
        }
        if name != "registry":
            settings["registry"] = {
                "url": self.around.registry_url,
                "token_file": str(self.home.token_file(name)),
                "ca_file": str(self.ca.ca_file),
            }
        prefix = f"CERTBUS_{kind.upper()}"
        # Only paths and addresses: what is secret lies in files of mode 0600.
        env = {
            f"{prefix}_{key.upper()}": value if isinstance(value, str) else json.dumps(value)
            for key, value in settings.items()
        }
        process = ChildProcess(
            name=name,
            argv=[sys.executable, "-m", *argv],
            log_path=self.home.path("logs", f"{name}.log"),
            env=env,
            ports=(port,),
            start=self.start,
        )
        return Service(name, process, f"https://127.0.0.1:{port}")


def _database(home: Home, name: str) -> str:
    folder = home.path(name)
    folder.mkdir(exist_ok=True, mode=0o700)
    return f"sqlite:///{folder / name}.db"


def _registry(home: Home) -> dict[str, Value]:
    return {
        "database_url": _database(home, "registry"),
        "state_folder": str(home.folder),
        "policy_file": str(policy_file(home)),
        "renewal_sweep_every_s": 10,
        # Three heartbeats of the services here.
        "silent_after_s": 15,
        "not_ready_after_s": 10,
    }


def _issuer(home: Home, around: Surroundings) -> dict[str, Value]:
    # Without a profile, Pebble picks one of its own at random.
    pebble: dict[str, Value] = {
        "directory_url": around.acme_directory_url,
        "ca_file": around.acme_ca_file,
        "profile": "default",
        # Only this machine trusts it.
        "public": False,
    }
    solvers: dict[str, Value] = {
        "dns": {"kind": "challtestsrv", "url": around.dns_management_url},
        "web": {"kind": "http01", "host": "127.0.0.1", "port": around.http01_port},
    }
    view: dict[str, Value] = {"resolvers": [around.resolver]}
    if around.updated_dns is not None:
        inside = around.updated_dns
        solvers["knot"] = {
            "kind": "rfc2136",
            "match": [inside.zone, f"*.{inside.zone}"],
            "server": f"{inside.host}:{inside.port}",
            "key_name": inside.key_name,
            "key_file": str(inside.key_file),
        }
        view["port"] = inside.port
    return {
        "database_url": _database(home, "issuer"),
        "state_folder": str(home.path("issuer")),
        "solvers": solvers,
        # As a company would have it: internal names proven by DNS, public ones by HTTP, each with its own account.
        "cas": [
            {"name": INTERNAL_CA, "challenges": ["dns-01"], **pebble},
            {"name": PUBLIC_CA, "challenges": ["http-01", "dns-01"], **pebble},
        ],
        "policy": {"internal": INTERNAL_CA, "public": PUBLIC_CA},
        "heartbeat_every_s": 5,
        "dns": {"views": {"default": view}},
        "orders_every_s": 15,
        "renewal_windows_every_s": 5,
        "escrow_public_key": _escrow_public_key(home),
    }


def _escrow(home: Home) -> dict[str, Value]:
    return {"state_folder": str(home.path("escrow")), "reseal_every_s": 5, "heartbeat_every_s": 5}


def _escrow_public_key(home: Home) -> str:
    """The key is made at the first start, in the escrow's own folder. A home of an earlier version has it beside the
    issuer's journal: it is moved.
    """
    path, before = home.path("escrow", "escrow.key"), home.path("issuer", "escrow.key")
    if before.exists() and not path.exists():
        path.parent.mkdir(exist_ok=True, mode=0o700)
        before.replace(path)
    return generate_recipient_key(ESCROW, path).public_key


def _monitor(home: Home, around: Surroundings) -> dict[str, Value]:
    return {
        "database_url": _database(home, "monitor"),
        "ca_file": around.acme_roots_file,
        "dns_servers": [around.dns],
        # Short, so that a fault is seen while somebody watches.
        "period_s": 5,
        "rollout_period_s": 0.5,
        "heartbeat_every_s": 5,
        "registry_look_every_s": 3,
        "registry_grace_s": 10,
    }


def _syncer(home: Home, around: Surroundings, site: str) -> dict[str, Value]:
    name = recipient_name(site, "syncer")
    targets: dict[str, Value] = {"files": {"default": {"directory": str(home.path("sites", site, "files"))}}}
    if site in around.clusters:
        targets["kubernetes"] = {site: {"kubeconfig": around.clusters[site]}}
    return {
        "place": site,
        "recipient": {"name": name, "key_file": str(home.path("sites", site, "syncer.key"))},
        "targets": targets,
        "reconcile_every_s": 15,
        "review_every_s": 30,
        "heartbeat_every_s": 5,
    }


def _pusher(home: Home, around: Surroundings) -> dict[str, Value]:
    name = recipient_name("site1", "pusher")
    return {
        "place": "site1",
        "recipient": {"name": name, "key_file": str(home.path("sites", "site1", "pusher.key"))},
        "targets": {
            "haproxy": {
                "default": {
                    "socket": around.haproxy_socket,
                    "directory": str(home.path("haproxy", "certificates")),
                    "crt_list": str(home.path("haproxy", "crt-list.txt")),
                    "probe": [f"127.0.0.1:{around.haproxy_port}"],
                }
            }
        },
        "reconcile_every_s": 15,
        "heartbeat_every_s": 5,
    }

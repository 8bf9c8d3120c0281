"""A real HAProxy with one TLS listener, and the pusher's own view of it."""

import json
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from cdn_pusher.domain.errors import DeliveryError
from cdn_pusher.domain.pem import HaproxyPem, read_pem
from cdn_pusher.domain.probe_names import ProbeAddress
from cdn_pusher.targets.haproxy.certificate_files import CertificateFiles
from cdn_pusher.targets.haproxy.instance import HaproxyInstance
from cdn_pusher.targets.haproxy.instance_lock import InstanceLock
from cdn_pusher.targets.haproxy.listeners import Listeners
from cdn_pusher.targets.haproxy.master_socket import MasterSocket
from cdn_pusher.targets.haproxy.notes import Notes
from cdn_pusher.targets.haproxy.proof import Proof
from cdn_pusher.targets.haproxy.runtime_socket import RuntimeSocket
from certcore.intent import Target
from certcore.placements import PLATFORM
from certdelivery.model import Wanted
from certlocal.haproxy_server import HaproxyServer
from certlocal.process import ChildProcess
from certprobe.handshake import Handshake, Prober
from tests.authority import Authority, Issued
from tests.patience import HANG_S
from tests.ports import free_port
from tests.servers import Haproxies

__all__ = ["DEFAULT", "TARGET", "Balancer", "Place", "Pusher", "balancer", "deliver", "pem_of"]

DEFAULT = "default.example.org"
"""What the listener serves for names that it has no certificate for."""

TARGET = Target(name="edge", kind="haproxy", site="site1")


@dataclass(frozen=True)
class Place:
    """Where one HAProxy is: enough to make the pusher's view of it in any process."""

    folder: Path
    port: int
    master_socket: Path | None = None

    @property
    def socket(self) -> Path:
        return self.folder / "h.sock"

    @property
    def directory(self) -> Path:
        return self.folder / "crt"

    @property
    def crt_list(self) -> Path:
        return self.folder / "crt.list"

    @property
    def files(self) -> CertificateFiles:
        return CertificateFiles(directory=self.directory, crt_list=self.crt_list)

    @property
    def notes(self) -> Notes:
        return Notes(self.folder / ".crt.placements.json")

    def wanted(self, file: str, pem: HaproxyPem, *, later: int = 0) -> Wanted:
        """In the generation that is noted, or so many `later`; the first one is 1."""
        noted = self.notes.read(file)
        generation = (noted.generation if noted else 1) + later
        return Wanted(
            certificate_id="c1",
            name=file.removesuffix(".pem"),
            target=TARGET,
            place="site1",
            generation=generation,
            revision=generation,
            variant=PLATFORM,
            fingerprint_sha256=pem.leaf.fingerprint_sha256,
            serial=pem.leaf.serial,
            not_after=pem.leaf.not_after,
        )

    @property
    def runtime(self) -> RuntimeSocket:
        return RuntimeSocket(self.socket, command_limit_bytes=16383)

    def pusher(self, *, probe: str | None = None, patience_s: float = 5.0, watch_s: float = 0.0) -> "Pusher":
        runtime = self.runtime
        master = MasterSocket(self.master_socket, timeout_s=HANG_S) if self.master_socket else None
        instance = HaproxyInstance(
            name="default",
            runtime=runtime,
            master=master,
            files=self.files,
            crt_list=self.crt_list,
            notes=self.notes,
            lock=InstanceLock(self.folder / ".crt.lock"),
        )
        address = ProbeAddress.parse(probe or f"127.0.0.1:{self.port}")
        proof = Proof(
            instance,
            runtime=runtime,
            master=master,
            listeners=Listeners([address], timeout_s=5.0),
            patience_s=patience_s,
            watch_s=watch_s,
        )
        return Pusher(instance, proof)

    def instance(self) -> HaproxyInstance:
        return self.pusher().instance


@dataclass(frozen=True)
class Pusher:
    """One process's view of the HAProxy."""

    instance: HaproxyInstance
    proof: Proof


@dataclass(frozen=True)
class Balancer:
    place: Place
    server: HaproxyServer
    authority: Authority

    @property
    def with_master(self) -> Place:
        return replace(self.place, master_socket=self.server.master_socket)

    async def served(self, name: str) -> Handshake:
        return await Prober(verify=False).shake("127.0.0.1", self.place.port, server_name=name)

    def in_another_process(self, order: Mapping[str, object]) -> ChildProcess:
        """A pusher of its own; what it did stands in its log, as JSON lines."""
        place = {"folder": str(self.place.folder), "port": self.place.port}
        return ChildProcess(
            name=str(order["name"]),
            argv=[sys.executable, "-m", "tests.integration.cdn_pusher.pushing", json.dumps({**place, **order})],
            log_path=self.place.folder / f"{order['name']}.log",
            cwd=Path(__file__).parents[3],
        )


def pem_of(issued: Issued) -> HaproxyPem:
    return read_pem((issued.chain_pem + issued.key_pem).encode())


async def deliver(place: Place, file: str, pem: HaproxyPem, *, by: Pusher | None = None) -> None:
    """A later order than all before, carried out as the engine does it: push, prove, put back where that fails."""
    pusher = by or place.pusher()
    await pusher.instance.push(file, pem, place.wanted(file, pem, later=1))
    try:
        await pusher.proof.prove(file)
    except DeliveryError as error:
        await pusher.instance.put_back(file, error)
        raise


@asynccontextmanager
async def balancer(haproxy: Haproxies) -> AsyncIterator[Balancer]:
    with tempfile.TemporaryDirectory(prefix="certbus-") as name:
        place = Place(folder=Path(name), port=free_port())
        authority = Authority()
        place.directory.mkdir()
        (place.directory / "default.pem").write_bytes(pem_of(authority.issue(DEFAULT)).content)
        place.crt_list.write_text(f"{place.directory}/default.pem\n")
        server = await haproxy(
            f"""
global
  stats socket {place.socket} mode 600 level admin expose-fd listeners
  stats timeout 30s
defaults
  mode http
  timeout connect 2s
  timeout client 10s
  timeout server 10s
frontend edge
  bind 127.0.0.1:{place.port} ssl crt-list {place.crt_list}
  http-request return status 200 content-type text/plain string ok
"""
        )
        yield Balancer(place, server, authority)

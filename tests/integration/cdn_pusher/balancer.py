"""A real HAProxy with one TLS listener, and the pusher's own view of it."""

import json
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from cdn_pusher.adapters.certificate_files import CertificateFiles
from cdn_pusher.adapters.haproxy import HaproxyInstance
from cdn_pusher.adapters.instance_lock import InstanceLock
from cdn_pusher.adapters.master_socket import MasterSocket
from cdn_pusher.adapters.runtime_socket import RuntimeSocket
from cdn_pusher.adapters.served import Listeners
from cdn_pusher.domain.pem import HaproxyPem, read_pem
from cdn_pusher.domain.probe_names import ProbeAddress
from certlocal.haproxy_server import HaproxyServer
from certlocal.process import ChildProcess
from certprobe.handshake import Handshake, Prober
from tests.authority import Authority, Issued
from tests.ports import free_port
from tests.servers import Haproxies

__all__ = ["DEFAULT", "Balancer", "Place", "balancer", "pem_of"]

DEFAULT = "default.example.org"
"""What the listener serves for names that it has no certificate for."""


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
    def runtime(self) -> RuntimeSocket:
        return RuntimeSocket(self.socket, command_limit_bytes=16383)

    def instance(self, *, probe: str | None = None, patience_s: float = 5.0) -> HaproxyInstance:
        return HaproxyInstance(
            name="default",
            runtime=self.runtime,
            master=MasterSocket(self.master_socket) if self.master_socket else None,
            files=self.files,
            crt_list=self.crt_list,
            lock=InstanceLock(self.folder / ".crt.lock"),
            listeners=Listeners(
                [ProbeAddress.parse(probe or f"127.0.0.1:{self.port}")],
                prober=Prober(verify=False),
                patience_s=patience_s,
            ),
        )


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

"""The scripted CA with the DNS server that it asks, as an issuer finds a CA."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from certlocal.pebble_ca import ChallengeDns
from certlocal.tools import PEBBLE_CHALLTESTSRV, Tell, Toolbox
from tests.acme_ca.server import TlsCa, acme_ca
from tests.ports import free_port

__all__ = ["RunningCa", "running_ca"]


@dataclass(frozen=True)
class RunningCa:
    """Proofs are really looked up: at the DNS server, and at `http01_port` for every name."""

    ca: TlsCa
    challenge_dns: ChallengeDns
    http01_port: int

    @property
    def directory_url(self) -> str:
        return self.ca.directory_url

    @property
    def ca_file(self) -> Path:
        return self.ca.ca_file

    @property
    def challtestsrv_url(self) -> str:
        return self.challenge_dns.url

    @property
    def dns(self) -> str:
        return self.challenge_dns.dns

    def finalized_orders(self) -> list[str]:
        return self.ca.finalized_orders()


@asynccontextmanager
async def running_ca(folder: Path, *, tell: Tell) -> AsyncIterator[RunningCa]:
    dns = ChallengeDns(
        program=Toolbox(tell=tell).find(PEBBLE_CHALLTESTSRV),
        folder=folder,
        dns_port=free_port(),
        management_port=free_port(),
    )
    http01_port = free_port()
    try:
        await dns.start()
        with acme_ca(folder, free_port(), dns=dns.dns, http01_port=http01_port) as ca:
            yield RunningCa(ca, dns, http01_port)
    finally:
        await dns.stop()

"""Knot as primary, behind a proxy that counts updates, and as a secondary that gets its copies through another."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from certcore.clock import system_clock
from certlocal.knot_server import KnotServer, KnotZone, TsigKey, knot_program
from certlocal.private_file import write_private
from certlocal.tools import Tell
from issuer.adapters.authoritative_dns import AuthoritativeDnsViews
from issuer.adapters.dns_settings import DnsSettings
from issuer.adapters.dns_zones import zones_by_view
from issuer.domain.ca_order import ChallengeKind
from issuer.domain.challenge import ChallengeRecord
from issuer.domain.job import JobId
from issuer.domain.solver import SolverContext
from issuer.solvers.rfc2136.driver import Rfc2136Solver
from issuer.solvers.rfc2136.settings import Rfc2136Settings
from tests.dns_proxy import DnsProxy, dns_proxy
from tests.integration.issuer.no_sites import NoSites
from tests.integration.issuer.txt_records import txt_values
from tests.ports import free_port

__all__ = ["KnotWorld", "StoredRecords", "a_record", "knot_world"]

PRIMARY, SECONDARY = "127.0.0.1", "127.0.0.2"
ZONES: Mapping[str, Sequence[str]] = {
    "example.test": (
        "_acme-challenge.delegated CNAME delegated.acme.test.",
        "_acme-challenge.circle CNAME circle.acme.test.",
        "_acme-challenge.chain CNAME link.example.test.",
        "_acme-challenge.inside CNAME proof.example.test.",
        '@ CAA 0 issue "ca.test"',
        '@ CAA 0 issue "pebble.letsencrypt.org"',
        '@ CAA 0 issuewild "pebble.letsencrypt.org"',
        '*.free CAA 0 issue "other.test"',
        "open CNAME open.acme.test.",
        "link CNAME delegated.acme.test.",
    ),
    "acme.test": (
        'open CAA 0 issue "other.test"',
        "circle CNAME _acme-challenge.circle.example.test.",
    ),
}
CHANGEABLE = {"acme.test": ("delegated.acme.test", "free.acme.test", "standing.acme.test")}
KEY_NAME = "certbus"


class StoredRecords:
    """As the journal has them."""

    def __init__(self, *records: ChallengeRecord) -> None:
        self.records = list(records)

    async def at(self, kind: ChallengeKind, name: str) -> list[ChallengeRecord]:
        return [record for record in self.records if (record.kind, record.record_name) == (kind, name)]


def a_record(identifier: str, value: str, *, job: str = "a") -> ChallengeRecord:
    return ChallengeRecord(
        JobId(job, 1),
        ChallengeKind.DNS_01,
        f"https://ca.test/{job}/{identifier}/{value}",
        identifier,
        f"_acme-challenge.{identifier}",
        value,
    )


@dataclass
class KnotWorld:
    """Both servers listen at one port: `primary` at 127.0.0.1, `secondary` at 127.0.0.2. `updates` is the proxy to
    send updates to, `transfers` that of the secondary.
    """

    primary: KnotServer
    secondary: KnotServer
    updates: DnsProxy
    transfers: DnsProxy
    key_file: Path
    stored: StoredRecords

    @property
    def solver_settings(self) -> dict[str, Any]:
        return {
            "kind": "rfc2136",
            "server": self.updates.address,
            "key_name": KEY_NAME,
            "key_file": str(self.key_file),
            "timeout_s": 10,
        }

    @property
    def dns_settings(self) -> dict[str, Any]:
        """Zones and their servers are found by the primary, which acts as the resolver."""
        # A busy machine answers late; only a hang takes this long.
        return {
            "views": {"default": {"resolvers": [self.primary.address], "port": self.primary.port}},
            "timeout_s": 10,
        }

    def dns(self, settings: dict[str, Any] | None = None) -> AuthoritativeDnsViews:
        read = DnsSettings.model_validate(settings or self.dns_settings)
        return AuthoritativeDnsViews(zones_by_view(read, now=lambda: 0.0), timeout_s=read.timeout_s)

    def solver(self, dns: AuthoritativeDnsViews | None = None, **settings: Any) -> Rfc2136Solver:
        context = SolverContext(
            name="knot",
            user_agent="test",
            records_at=self.stored.at,
            dns=self.dns() if dns is None else dns,
            sites=NoSites(),
            clock=system_clock,
        )
        return Rfc2136Solver(Rfc2136Settings.model_validate({**self.solver_settings, **settings}), context)

    async def values(self, name: str, *, at: KnotServer | None = None) -> set[str]:
        return set(await txt_values((at or self.primary).address, name))


@asynccontextmanager
async def knot_world(*, tell: Tell) -> AsyncIterator[KnotWorld]:
    folder = Path(tempfile.mkdtemp(prefix="certbus-knot-"))
    program, key, port = knot_program(tell), TsigKey(KEY_NAME), free_port()
    key_file = folder / "tsig.key"
    write_private(key_file, key.secret.encode())
    async with AsyncExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        updates = await stack.enter_async_context(dns_proxy((PRIMARY, port)))
        transfers = await stack.enter_async_context(dns_proxy((PRIMARY, port)))
        primary = KnotServer(
            program=program,
            folder=folder / "primary",
            host=PRIMARY,
            port=port,
            zones=[
                KnotZone(name, servers=(PRIMARY, SECONDARY), records=lines, changeable=CHANGEABLE.get(name, ()))
                for name, lines in ZONES.items()
            ],
            key=key,
            secondaries=[(SECONDARY, port)],
        )
        secondary = KnotServer(
            program=program,
            folder=folder / "secondary",
            host=SECONDARY,
            port=port,
            zones=[KnotZone(name, primary=(PRIMARY, transfers.port)) for name in ZONES],
        )
        for server in (primary, secondary):
            stack.push_async_callback(server.stop)
            await server.start()
        yield KnotWorld(primary, secondary, updates, transfers, key_file, StoredRecords())

"""`certbus issuer test` against a real Knot, with one Pebble as the CA and another as its sibling for tests."""

import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from certlocal.private_file import write_private
from certlocal.tools import Tell
from tests import servers
from tests.fork_server import ended
from tests.integration.issuer.knot_world import KnotWorld, knot_world

pytestmark = pytest.mark.integration


@dataclass
class _Stage:
    folder: Path
    world: KnotWorld
    production: servers.Pebble
    sibling: servers.Pebble

    async def rehearse(
        self, *arguments: str, solver: dict[str, Any] | None = None, **settings: Any
    ) -> tuple[int, dict[str, str], str]:
        """The exit code, the line of each step, and all that was told."""
        ca = {
            "name": "main",
            "preset": "pebble",
            "directory_url": self.production.directory_url,
            "ca_file": str(self._both_roots()),
            "challenges": ["dns-01"],
            "sibling_url": self.sibling.directory_url,
        }
        (self.folder / "token").write_text("token")
        told = {
            "bus": {"identity": "issuer", "url": "nats://127.0.0.1:9", "plain_text": True},
            "http": {"plain_text": True},
            "registry": {"url": "http://127.0.0.1:9", "token_file": str(self.folder / "token"), "plain_text": True},
            "database_url": f"sqlite:///{self.folder / 'journal.db'}",
            "state_folder": str(self.folder / "state"),
            "cas": [{**ca, **settings}],
            "policy": {"internal": "main", "public": "main"},
            "solvers": {"knot": solver or self.world.solver_settings},
            "dns": self.world.dns_settings,
        }
        read = {
            f"CERTBUS_ISSUER_{name.upper()}": value if isinstance(value, str) else json.dumps(value)
            for name, value in told.items()
        }
        code, out, err = await ended("certbus", "issuer", "test", *arguments, env=read)
        output = out + err
        lines = output.splitlines()
        steps = {line.split()[1]: line for line in lines if line.startswith(("  ✓ ", "  ✗ ", "  - "))}
        return code, steps, output

    def _both_roots(self) -> Path:
        file = self.folder / "roots.pem"
        file.write_text(self.production.ca_file.read_text() + self.sibling.ca_file.read_text())
        return file

    def files(self) -> list[str]:
        """What lies on the issuer's host now."""
        return sorted(path.name for path in self.folder.iterdir())

    def asked_of_production(self) -> list[str]:
        return _asked(self.production)


def _asked(pebble: servers.Pebble) -> list[str]:
    """What was asked of it by whoever has an account there, or wants one."""
    return [line for line in pebble.log_path.read_text().splitlines() if "POST /" in line]


@asynccontextmanager
async def _stage(folder: Path, tell: Tell, *, with_addresses: bool = False) -> AsyncIterator[_Stage]:
    """The sibling asks a server of Knot for records, or, with addresses, one that says 127.0.0.1 for all names."""
    async with (
        knot_world(tell=tell) as world,
        servers.pebble_ca(bad_nonces_percent=0, tell=tell) as production,
        servers.pebble_ca(
            bad_nonces_percent=0, asks=None if with_addresses else world.secondary.address, tell=tell
        ) as sibling,
    ):
        yield _Stage(folder, world, production, sibling)


async def test_a_good_configuration_is_proven_without_an_order_at_the_ca(tmp_path: Path, tell: Tell) -> None:
    async with _stage(tmp_path, tell) as stage:
        code, steps, told = await stage.rehearse("shop.example.test")

        assert code == 0, told
        assert {name: line.split()[0] for name, line in steps.items()} == {
            "CA": "✓",
            "directory": "✓",
            "CAA": "✓",
            "solver": "✓",
            "record": "✓",
            "order": "✓",
        }
        assert "main: policy.internal" in steps["CA"]
        assert "a CAA record names it" in steps["CAA"]
        assert "knot (rfc2136) by dns-01" in steps["solver"]
        assert "_acme-challenge.shop.example.test was written, seen at every authoritative server" in steps["record"]
        assert "shop.example.test proven by dns-01; issued" in steps["order"]
        assert len(stage.sibling.finalized_orders()) == 1
        assert _asked(stage.sibling) != []
        assert stage.asked_of_production() == []
        assert await stage.world.values("_acme-challenge.shop.example.test") == set()
        assert stage.files() == ["roots.pem", "token"]


async def test_each_fault_is_told_at_its_step_and_nothing_is_ordered_at_the_ca(tmp_path: Path, tell: Tell) -> None:
    async with _stage(tmp_path, tell) as stage:
        other_key = tmp_path / "other.key"
        write_private(other_key, b"b3RoZXItb3RoZXItb3RoZXItb3RoZXItb3RoZXItISE=")
        wrong = {**stage.world.solver_settings, "key_file": str(other_key)}

        code, steps, told = await stage.rehearse("shop.example.test", solver=wrong, profile="gold")

        assert code == 1, told
        assert "offers no profile gold" in steps["directory"]
        assert steps["record"].startswith("  ✗")
        assert "BADSIG" in steps["record"]
        assert steps["order"].startswith("  ✗")
        assert "shop.example.test: failed: directory, record, order" in told

        code, steps, told = await stage.rehearse("a.free.example.test")
        assert code == 1, told
        assert "CAA of a.free.example.test lets other.test issue" in steps["CAA"]

        assert stage.asked_of_production() == []


async def test_what_cannot_be_tried_is_no_failure(tmp_path: Path, tell: Tell) -> None:
    async with _stage(tmp_path, tell) as stage:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            web = {"kind": "http01", "port": taken.getsockname()[1]}
            code, steps, told = await stage.rehearse("shop.example.test", solver=web, challenges=["http-01"])

        assert code == 0, told
        assert steps["record"].startswith("  -")
        assert "the issuer itself may be running" in steps["record"]
        assert steps["order"].startswith("  -")
        assert "nothing failed; not tried: record, order" in told


async def test_a_name_is_proven_by_http_at_the_sibling(tmp_path: Path, tell: Tell) -> None:
    async with _stage(tmp_path, tell, with_addresses=True) as stage:
        web = {"kind": "http01", "port": stage.sibling.http01_port}
        code, steps, told = await stage.rehearse("shop.example.test", solver=web, challenges=["http-01"])

        assert code == 0, told
        assert "only a CA sees it from outside" in steps["record"]
        assert "shop.example.test proven by http-01; issued" in steps["order"]


async def test_a_ca_without_a_sibling_is_sent_no_order(tmp_path: Path, tell: Tell) -> None:
    async with _stage(tmp_path, tell) as stage:
        code, steps, told = await stage.rehearse("*.example.test", "--ca", "main", sibling_url=None)

        assert code == 0, told
        assert "main: it was named" in steps["CA"]
        assert steps["record"].startswith("  ✓")
        assert "name it by sibling_url" in steps["order"]
        assert stage.asked_of_production() == []
        assert stage.sibling.finalized_orders() == []

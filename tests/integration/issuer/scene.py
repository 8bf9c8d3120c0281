"""An issuer process with all that it needs around it."""

import asyncio
import json
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from certlocal.nats_server import NatsServer
from certlocal.tools import Tell
from tests import servers
from tests.integration.issuer.bus_peer import BusPeer, bus_peer
from tests.integration.issuer.issuer_process import IssuerProcess, ServedCa
from tests.patience import HANG_S
from tests.registry_standin import RegistryStandin, registry_standin

__all__ = ["IssuerScene", "Scene", "a_scene", "issuer_scene", "until"]


@dataclass(frozen=True, kw_only=True)
class IssuerScene:
    peer: BusPeer
    registry: RegistryStandin
    issuer: IssuerProcess
    broker: NatsServer

    def log(self) -> list[dict[str, Any]]:
        """The lines of the issuer's log; the last of a killed process may be cut short."""
        lines = self.issuer.process.log_path.read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]

    def logged(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.log() if line["event"] == event]

    def journal(self, query: str) -> list[Any]:
        """Rows of the journal as they are on disk."""
        with closing(sqlite3.connect(self.issuer.database_file)) as database:
            return database.execute(query).fetchall()


@dataclass(frozen=True, kw_only=True)
class Scene(IssuerScene):
    pebble: servers.Pebble


@asynccontextmanager
async def issuer_scene(folder: Path, ca: ServedCa, **fields: Any) -> AsyncIterator[IssuerScene]:
    """An issuer that uses that CA; `fields` are those of `IssuerProcess`."""
    async with (
        servers.broker(sites=servers.SITES) as broker,
        registry_standin() as registry,
        bus_peer(broker.url) as peer,
    ):
        issuer = IssuerProcess(folder, ca, broker.url, registry.url, **fields)
        try:
            await issuer.start()
            yield IssuerScene(peer=peer, registry=registry, issuer=issuer, broker=broker)
        finally:
            await issuer.stop()


@asynccontextmanager
async def a_scene(
    folder: Path, *, tell: Tell, bad_nonces_percent: int = 15, pebble_asks: str | None = None, **fields: Any
) -> AsyncIterator[Scene]:
    async with (
        servers.pebble_ca(bad_nonces_percent=bad_nonces_percent, asks=pebble_asks, tell=tell) as pebble,
        issuer_scene(folder, pebble, **fields) as scene,
    ):
        yield Scene(pebble=pebble, **vars(scene))


async def until(condition: Callable[[], object], *, what: str, timeout_s: float = HANG_S) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not after {timeout_s:g} s: {what}"
        await asyncio.sleep(0.05)

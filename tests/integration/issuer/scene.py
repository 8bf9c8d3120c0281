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
from tests.integration.issuer.issuer_process import IssuerProcess
from tests.patience import HANG_S
from tests.registry_standin import RegistryStandin, registry_standin

__all__ = ["Scene", "a_scene", "until"]


@dataclass(frozen=True)
class Scene:
    pebble: servers.Pebble
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


@asynccontextmanager
async def a_scene(
    folder: Path,
    *,
    tell: Tell,
    bad_nonces_percent: int = 15,
    patience_s: float = 10.0,
    log_level: str = "info",
    more_cas: tuple[dict[str, Any], ...] = (),
    orders_every_s: float = 60.0,
    database: Path | None = None,
    database_url: str | None = None,
) -> AsyncIterator[Scene]:
    async with (
        servers.broker(sites=servers.SITES) as broker,
        servers.pebble_ca(bad_nonces_percent=bad_nonces_percent, tell=tell) as pebble,
        registry_standin() as registry,
        bus_peer(broker.url) as peer,
    ):
        issuer = IssuerProcess(
            folder,
            pebble,
            broker.url,
            registry.url,
            patience_s=patience_s,
            log_level=log_level,
            more_cas=more_cas,
            orders_every_s=orders_every_s,
            database=database,
            database_url=database_url,
        )
        try:
            await issuer.start()
            yield Scene(pebble, peer, registry, issuer, broker)
        finally:
            await issuer.stop()


async def until(condition: Callable[[], object], *, what: str, timeout_s: float = HANG_S) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not after {timeout_s:g} s: {what}"
        await asyncio.sleep(0.05)

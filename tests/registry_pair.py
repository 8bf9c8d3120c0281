"""Registries that share one PostgreSQL and one broker, each a process with a port and a folder of its own.

async with registry_pair(folder) as pair:
    ana = await pair.person("ana", Role.REQUESTER)
    response = await pair.call(ana, "POST", "/v1/requests", json=…)
"""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from certcore.api import Role
from certcore.sealing import RecipientKey
from certlocal.nats_server import NatsServer
from tests import servers
from tests.postgres_server import database
from tests.registry_process import OWNERS, RegistryProcess, Row

__all__ = ["RegistryPair", "registry_pair"]


class RegistryPair:
    def __init__(
        self, processes: Sequence[RegistryProcess], broker: NatsServer, database_url: str, chance: random.Random
    ) -> None:
        self.processes = tuple(processes)
        self.broker = broker
        self.database_url = database_url
        self._chance = chance
        self._clients = [
            httpx.AsyncClient(base_url=process.url, timeout=20.0, trust_env=False) for process in processes
        ]
        self.admin = ""
        self.kills = 0
        self.keys: dict[str, RecipientKey] = {}

    def rows(self, query: str, *values: object) -> list[Row]:
        return self.processes[0].rows(query, *values)

    def client(self, place: int) -> httpx.AsyncClient:
        return self._clients[place]

    async def person(self, subject: str, *roles: Role, owner: str = "shop") -> dict[str, str]:
        """The headers of a new token of somebody's."""
        order = {"subject": subject, "owner": owner, "roles": list(roles)}
        response = await self._clients[0].post("/v1/tokens", json=order, headers=_bearer(self.admin))
        assert response.status_code == 201, response.text
        return _bearer(response.json()["token"])

    async def call(self, headers: dict[str, str], method: str, path: str, **options: Any) -> httpx.Response | None:
        """Of one of them, whichever; None where it ended before it answered."""
        try:
            return await self._chance.choice(self._clients).request(method, path, headers=headers, **options)
        except httpx.TransportError:
            return None

    async def enrol(self) -> None:
        for site in servers.SITES:
            keys = [
                RecipientKey(f"{site}-{service}", X25519PrivateKey.generate()) for service in ("syncer", "pusher")
            ]
            self.keys |= {key.name: key for key in keys}
            recipients = [
                {"service": key.name.removeprefix(f"{site}-"), "public_key": key.public_key} for key in keys
            ]
            response = await self._clients[0].put(
                f"/v1/sites/{site}", json={"recipients": recipients}, headers=_bearer(self.admin)
            )
            assert response.status_code == 204, response.text

    async def leaders(self) -> list[int]:
        """Which of those that run say that they lead."""
        found = []
        for place, client in enumerate(self._clients):
            if not self.processes[place].child.alive:
                continue
            if "certbus_registry_leads 1.0" in (await client.get("/metrics")).text:
                found.append(place)
        return found

    async def killing(self, *, every_s: float) -> None:
        """Until cancelled, end one of them by SIGKILL now and then, and start it again."""
        while True:
            await asyncio.sleep(every_s * self._chance.uniform(0.5, 1.5))
            process = self._chance.choice(self.processes)
            process.kill()
            await process.child.wait(timeout_s=30.0)
            self.kills += 1
            await process.start()

    async def all_run(self) -> None:
        """Start those that a cancelled `killing` left."""
        for process in self.processes:
            await process.start()

    async def close(self) -> None:
        for client in self._clients:
            await client.aclose()


@asynccontextmanager
async def registry_pair(
    folder: Path, *, seed: int = 1, number: int = 2, kind: str = "postgresql", durable: bool = False, **settings: Any
) -> AsyncIterator[RegistryPair]:
    """They start together, on an empty database. A `durable` one writes to the disk at each commit, as SQLite always
    does, which takes one registry.
    """
    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(servers.broker(sites=servers.SITES, owners=OWNERS))
        url = await stack.enter_async_context(database(kind, folder, durable=durable))
        processes = []
        for place in range(number):
            own = folder / f"registry-{place}"
            own.mkdir()
            processes.append(RegistryProcess(folder=own, nats_url=broker.url, database_url=url, **settings))
            stack.push_async_callback(processes[-1].stop)
        await asyncio.gather(*(process.start() for process in processes))
        pair = RegistryPair(processes, broker, url, random.Random(seed))
        stack.push_async_callback(pair.close)
        [token] = [process.admin_token_file for process in processes if process.admin_token_file.exists()]
        pair.admin = token.read_text().strip()
        await pair.enrol()
        yield pair


def _bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}

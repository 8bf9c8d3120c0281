"""A running registry for tests: `python -m registry` on a broker, with a first token and two enrolled sites.

async with running_registry() as registry:
    ana = await registry.person("ana", Role.REQUESTER)
    response = await ana.post("/v1/requests", json=…)
"""

import json
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from certcore.api import Role
from certcore.sealing import RecipientKey
from certlocal.nats_server import NatsServer
from certlocal.process import ChildProcess
from certlocal.readiness import answers
from tests import servers
from tests.fork_server import fork_server
from tests.policies import TOY_PLACES, open_policy, policy_file
from tests.ports import free_port
from tests.postgres_server import database
from tests.registry_database import KIND, Row, opened

__all__ = ["OWNERS", "Person", "RegistryProcess", "Row", "RunningRegistry", "running_registry"]

OWNERS = ("shop", "treasury", "o" * 63, "Shop", "a_b", "-shop", "s" * 64)
"""Who may ask over the bus: the last four are no names, whatever the operator declared."""


def _client_of(provider: str, folder: Path) -> dict[str, str]:
    secret = folder / "oidc-client-secret"
    secret.write_text("known to the provider\n")
    return {"oidc_issuer": provider, "oidc_client_id": "certbus", "oidc_client_secret_file": str(secret)}


class RegistryProcess:
    """One registry with its state; it may be killed and started again."""

    def __init__(
        self,
        *,
        folder: Path,
        nats_url: str,
        renewal_sweep_every_s: float = 60.0,
        health_sweep_every_s: float = 10.0,
        watch_every_s: float = 3600.0,
        plugins: Path | None = None,
        policy: dict[str, Any] | None = None,
        provider: str | None = None,
        database_url: str | None = None,
        traces: bool = True,
    ) -> None:
        """`plugins` is a folder of installed packages that it finds beside ours, `provider` the URL of an issuer.
        Without `database_url` it has a SQLite database of its own; without `traces` it keeps none, as by default.
        """
        if policy is None:
            policy = open_policy(places=TOY_PLACES if plugins is not None else ())
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.folder = folder
        self.provider = provider
        database_url = database_url or f"sqlite:///{folder / 'registry.db'}"
        self.database = opened(database_url)
        self.admin_token_file = folder / "state" / "tokens" / "admin"
        settings: dict[str, Any] = {
            "bus": {"url": nats_url, "identity": "registry", "plain_text": True},
            "http": {"host": "127.0.0.1", "port": port, "plain_text": True},
            "telemetry": {"trace_file": str(folder / "traces.jsonl")} if traces else {},
            "database_url": database_url,
            "state_folder": str(folder / "state"),
            "policy_file": str(policy_file(folder, policy)),
            "renewal_sweep_every_s": renewal_sweep_every_s,
            "health_sweep_every_s": health_sweep_every_s,
            "watch_every_s": watch_every_s,
            # Many tests show tokens that nobody has, and compare what is stored.
            "logins_every_s": 3600.0,
            "failed_login_delay_s": 0.0,
            **(_client_of(provider, folder) if provider else {}),
        }
        self.child = ChildProcess(
            name="registry",
            ports=(port,),
            argv=[sys.executable, "-m", "registry"],
            start=fork_server(),
            log_path=folder / "registry.log",
            env={
                **{
                    f"CERTBUS_REGISTRY_{key.upper()}": value if isinstance(value, str) else json.dumps(value)
                    for key, value in settings.items()
                },
                # Compiled modules are kept: without them every start takes seconds longer.
                "PYTHONDONTWRITEBYTECODE": "",
                **({"PYTHONPATH": str(plugins)} if plugins else {}),
            },
        )

    async def start(self) -> None:
        self.child.start()
        await self.child.wait_ready(answers(f"{self.url}/readyz", instance=self.child.instance))

    async def stop(self) -> None:
        await self.child.stop()

    def kill(self) -> None:
        """SIGKILL: what is not in the database or on the bus by now is lost."""
        self.child.kill()

    def copy_database(self, path: Path) -> None:
        """A consistent copy, made beside the running process."""
        self.database.copy(path)

    def put_back(self, copy: Path) -> None:
        """Restore a copy, as an operator does; the process must be stopped."""
        self.database.put_back(copy)

    @property
    def log_lines(self) -> list[str]:
        return self.child.log_path.read_text().splitlines()

    def peak_memory(self) -> int:
        """The most bytes that it ever held."""
        status = Path(f"/proc/{self.child.pid}/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))

    def rows(self, query: str, *values: object) -> list[Row]:
        """What a SELECT finds, read beside the running process."""
        return self.database.rows(query, values)

    def change(self, statement: str, *values: object) -> None:
        """Change a row behind the registry's back, for a state that its API can't bring about."""
        self.database.change(statement, values)

    def counts(self) -> dict[str, int]:
        """How many rows each table has."""
        each = (f"SELECT '{name}' AS name, COUNT(*) AS number FROM \"{name}\"" for name in self.database.tables())  # noqa: S608 # ours
        counting = " UNION ALL ".join(each)
        return {row["name"]: row["number"] for row in self.rows(counting)}

    def dump(self) -> dict[str, list[Row]]:
        """Everything that is stored, by table."""
        return {
            table: sorted(self.rows(f'SELECT * FROM "{table}"'), key=repr)  # noqa: S608 # our tables
            for table in self.database.tables()
        }


class Person:
    """Somebody with a token, or without one."""

    def __init__(self, http: httpx.AsyncClient, token: str | None) -> None:
        self.token = token
        self.headers = {"authorization": f"Bearer {token}"} if token else {}
        self.http = http

    async def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {**self.headers, **options.pop("headers", {})}
        return await self.http.request(method, path, headers=headers, **options)

    async def get(self, path: str, **options: Any) -> httpx.Response:
        return await self.call("GET", path, **options)

    async def post(self, path: str, **options: Any) -> httpx.Response:
        return await self.call("POST", path, **options)

    async def put(self, path: str, **options: Any) -> httpx.Response:
        return await self.call("PUT", path, **options)


class RunningRegistry:
    """`keys` are the recipients' own keys by name (`site1-syncer`), `admin` holds the first token."""

    def __init__(self, *, process: RegistryProcess, broker: NatsServer, http: httpx.AsyncClient) -> None:
        self.process = process
        self.broker = broker
        self.nats_url = broker.url
        self.http = http
        self.keys: dict[str, RecipientKey] = {}
        self.admin = Person(http, process.admin_token_file.read_text().strip())
        self.nobody = Person(http, None)

    @property
    def url(self) -> str:
        return self.process.url

    async def person(self, subject: str, *roles: Role, owner: str = "shop") -> Person:
        """A new token of somebody's; two of one subject are one person."""
        return await self._make(subject=subject, owner=owner, roles=roles)

    async def service(self, subject: str, role: Role, *, site: str | None = None, kind: str | None = None) -> Person:
        """A token of a service; `kind` is syncer or pusher for a deliverer."""
        return await self._make(subject=subject, owner="platform", roles=[role], site=site, service=kind)

    async def _make(self, **order: Any) -> Person:
        response = await self.admin.post("/v1/tokens", json=order)
        assert response.status_code == 201, response.text
        return Person(self.http, response.json()["token"])

    async def enrol(self, site: str, *services: str) -> None:
        """Enrol a site by the public halves of keys that are made here."""
        recipients = []
        for service in services:
            key = RecipientKey(f"{site}-{service}", X25519PrivateKey.generate())
            self.keys[key.name] = key
            recipients.append({"service": service, "public_key": key.public_key})
        response = await self.admin.put(f"/v1/sites/{site}", json={"recipients": recipients})
        assert response.status_code == 204, response.text


@asynccontextmanager
async def running_registry(
    *,
    renewal_sweep_every_s: float = 60.0,
    health_sweep_every_s: float = 10.0,
    watch_every_s: float = 3600.0,
    plugins: Callable[[Path], Path] | None = None,
    policy: dict[str, Any] | None = None,
    provider: str | None = None,
) -> AsyncIterator[RunningRegistry]:
    """A registry on a fresh broker, which is open to all. site1 has a syncer and a pusher, site2 only a syncer.

    `plugins` installs packages of others into a folder; `provider` is the URL of an issuer, which may come later.
    """
    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(servers.broker(sites=servers.SITES, owners=OWNERS))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="certbus-registry-")))
        installed = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="certbus-plugins-")))
        url = await stack.enter_async_context(database(KIND, folder))
        process = RegistryProcess(
            folder=folder,
            database_url=url,
            nats_url=broker.url,
            renewal_sweep_every_s=renewal_sweep_every_s,
            health_sweep_every_s=health_sweep_every_s,
            watch_every_s=watch_every_s,
            plugins=plugins(installed) if plugins else None,
            policy=policy,
            provider=provider,
        )
        stack.push_async_callback(process.stop)
        await process.start()
        # Many people share it: it keeps nobody's cookies.
        cookies = CookieJar(policy=DefaultCookiePolicy(allowed_domains=[]))
        http = await stack.enter_async_context(
            httpx.AsyncClient(base_url=process.url, timeout=20.0, trust_env=False, cookies=cookies)
        )
        registry = RunningRegistry(process=process, broker=broker, http=http)
        await registry.enrol("site1", "syncer", "pusher")
        await registry.enrol("site2", "syncer")
        yield registry

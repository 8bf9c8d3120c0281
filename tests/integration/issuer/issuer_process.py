"""`python -m issuer` as an operator starts it, and what it needs around it."""

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from certcore.identities import ESCROW
from certcore.sealing import RecipientKey, generate_recipient_key
from certlocal.process import ChildProcess
from certlocal.readiness import answers
from tests.fork_server import fork_server
from tests.ports import free_port
from tests.registry_standin import ISSUER_TOKEN

__all__ = ["IssuerProcess", "ServedCa", "pebble_settings"]


class ServedCa(Protocol):
    """A CA that a test started, with the DNS server that it asks."""

    @property
    def directory_url(self) -> str: ...

    @property
    def ca_file(self) -> Path: ...

    @property
    def http01_port(self) -> int: ...

    @property
    def challtestsrv_url(self) -> str: ...

    @property
    def dns(self) -> str:
        """host:port"""


def pebble_settings(pebble: ServedCa, *names_and_challenges: tuple[str, list[str]]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "directory_url": pebble.directory_url,
            "ca_file": str(pebble.ca_file),
            "challenges": challenges,
            "public": False,
        }
        for name, challenges in names_and_challenges
    ]


@dataclass
class IssuerProcess:
    """One issuer with its state; it may be killed and started again."""

    folder: Path
    pebble: ServedCa
    nats_url: str
    registry_url: str
    patience_s: float = 10.0
    orders_every_s: float = 60.0
    database: Path | None = None
    database_url: str | None = None
    state_folder: Path | None = None
    log_level: str = "info"
    http01_port: int | None = None
    name: str = "issuer"
    more_cas: tuple[dict[str, Any], ...] = ()
    more_settings: dict[str, Any] = field(default_factory=dict)
    more_solvers: dict[str, dict[str, Any]] = field(default_factory=dict)
    dns_settings: dict[str, Any] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)

    escrow: RecipientKey = field(init=False)

    def __post_init__(self) -> None:
        token = self.folder / "token"
        token.write_text(ISSUER_TOKEN)
        self.http_port = free_port()
        self.state = self.state_folder or self.folder / "state"
        # Of the escrow's own host: beside the issuer's folder, not in it.
        self.escrow = generate_recipient_key(
            ESCROW, self.folder.with_name(f"{self.folder.name}-escrow") / "escrow.key"
        )
        self.trace_file = self.folder / "traces.jsonl"
        settings: dict[str, Any] = {
            "bus": {"url": self.nats_url, "identity": "issuer", "plain_text": True},
            "http": {"host": "127.0.0.1", "port": self.http_port, "plain_text": True},
            "telemetry": {"trace_file": str(self.trace_file), "log_level": self.log_level},
            "registry": {"url": self.registry_url, "token_file": str(token), "plain_text": True},
            "database_url": self.database_url or f"sqlite:///{self.database_file}",
            "state_folder": str(self.state),
            "cas": [
                *pebble_settings(self.pebble, ("by-dns", ["dns-01"]), ("by-http", ["http-01", "dns-01"])),
                *self.more_cas,
            ],
            "policy": {"internal": "by-dns", "public": "by-http"},
            "solvers": {
                "dns": {"kind": "challtestsrv", "url": self.pebble.challtestsrv_url},
                "web": {"kind": "http01", "port": self.http01_port or self.pebble.http01_port},
                **self.more_solvers,
            },
            "dns": self.dns_settings or {"views": {"default": {"resolvers": [self.pebble.dns]}}},
            "order_patience_s": self.patience_s,
            "orders_every_s": self.orders_every_s,
            "escrow_public_key": self.escrow.public_key,
            "order_loss": {"denials": 3, "over_s": 2.0, "over_after_finalize_s": 4.0},
            **self.more_settings,
        }
        self.process = ChildProcess(
            name="issuer",
            ports=(self.http_port,),
            argv=[sys.executable, "-m", "issuer"],
            start=fork_server(),
            log_path=self.folder / f"{self.name}.log",
            env={
                **{
                    f"CERTBUS_ISSUER_{key.upper()}": value if isinstance(value, str) else json.dumps(value)
                    for key, value in settings.items()
                },
                # Compiled modules are kept: without them every start takes seconds longer.
                "PYTHONDONTWRITEBYTECODE": "",
                **self.env,
            },
        )

    @property
    def database_file(self) -> Path:
        return self.database or self.folder / "journal.db"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    async def start(self) -> None:
        self.process.start()
        await self.process.wait_ready(answers(f"{self.url}/readyz", instance=self.process.instance))

    async def stop(self) -> None:
        await self.process.stop()

"""`python -m syncer` as an operator starts it, at a site of a running registry."""

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from certcore.api import Role
from certlocal.process import ChildProcess
from certlocal.readiness import answers
from tests.fork_server import fork_server
from tests.patience import HANG_S
from tests.ports import free_port
from tests.registry_process import RunningRegistry

__all__ = ["SyncerProcess"]


@dataclass
class SyncerProcess:
    """It may be killed and started again."""

    site: str
    folder: Path
    registry: RunningRegistry
    token: str
    challenges: dict[str, dict[str, Any]]
    process: ChildProcess = field(init=False)

    @classmethod
    async def made(
        cls, registry: RunningRegistry, folder: Path, *, site: str, challenges: dict[str, dict[str, Any]]
    ) -> "SyncerProcess":
        person = await registry.service(f"{site}-syncer", Role.DELIVERER, site=site, kind="syncer")
        return cls(site, folder, registry, person.token or "", challenges)

    def __post_init__(self) -> None:
        name = f"{self.site}-syncer"
        self.folder.mkdir()
        token, key = self.folder / "token", self.folder / "recipient.key"
        token.write_text(self.token)
        private = self.registry.keys[name].private_key
        key.write_bytes(private.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption()))
        self.port = free_port()
        settings: dict[str, Any] = {
            "place": self.site,
            "bus": {"url": self.registry.nats_url, "identity": name, "plain_text": True},
            "http": {"port": self.port, "plain_text": True},
            "telemetry": {"trace_file": str(self.folder / "traces.jsonl")},
            "registry": {"url": self.registry.url, "token_file": str(token), "plain_text": True},
            "recipient": {"name": name, "key_file": str(key)},
            "targets": {"files": {"default": {"directory": str(self.folder / "live")}}},
            "heartbeat_every_s": 1.0,
            "challenges": self.challenges,
        }
        self.process = ChildProcess(
            name=name,
            argv=[sys.executable, "-m", "syncer"],
            start=fork_server(),
            log_path=self.folder / "syncer.log",
            ports=(self.port,),
            env={
                **{
                    f"CERTBUS_SYNCER_{key.upper()}": value if isinstance(value, str) else json.dumps(value)
                    for key, value in settings.items()
                },
                # Compiled modules are kept: without them every start takes seconds longer.
                "PYTHONDONTWRITEBYTECODE": "",
            },
        )

    async def start(self) -> None:
        self.process.start()
        check = answers(f"http://127.0.0.1:{self.port}/readyz", instance=self.process.instance)
        await self.process.wait_ready(check, timeout_s=HANG_S)

"""The whole service, `python -m monitor`, with a real broker and a real name server."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from certlocal.process import ChildProcess
from monitor.adapters.store import Store
from tests import servers
from tests.authority import Authority
from tests.fork_server import fork_server
from tests.integration.monitor.monitor_database import monitor_database
from tests.integration.monitor.watch import Watch
from tests.ports import free_port
from tests.registry_standin import registry_standin
from tests.stream_reader import stream_reader


@pytest_asyncio.fixture
async def watch(declared_bus: str, pebble: servers.Pebble, tmp_path: Path) -> AsyncIterator[Watch]:
    authority = Authority()
    (tmp_path / "roots.pem").write_text(authority.root_pem)
    async with (
        registry_standin() as registry,
        stream_reader(declared_bus, "certs.last.hub.monitor.>") as observations,
        stream_reader(declared_bus, "certs.alert.>") as alerts,
    ):
        http_port = free_port()
        (tmp_path / "monitor.toml").write_text(
            f"""
database_url = "sqlite:///{tmp_path}/monitor.db"
ca_file = "{tmp_path}/roots.pem"
dns_servers = ["{pebble.dns}"]
period_s = 0.3
rollout_period_s = 0.1
rollout_grace_s = 600
refresh_every_s = 0.5
heartbeat_every_s = 0.5
timeout_s = 2
bus = {{ url = "{declared_bus}", identity = "monitor", plain_text = true }}
http = {{ port = {http_port}, plain_text = true }}
telemetry = {{ trace_file = "{tmp_path}/traces.jsonl" }}
registry = {{ url = "{registry.url}", token_file = "{registry.settings(tmp_path).token_file}", plain_text = true }}
"""
        )
        process = ChildProcess(
            name="monitor",
            argv=[sys.executable, "-m", "monitor"],
            start=fork_server(),
            log_path=tmp_path / "monitor.log",
            # Spans that are exported in batches wait for the end.
            env={"CERTBUS_CONFIG_FILE": str(tmp_path / "monitor.toml"), "OTEL_BSP_SCHEDULE_DELAY": "600000"},
        )
        try:
            yield Watch(process, registry, observations, alerts, authority, declared_bus, http_port, tmp_path)
        finally:
            await process.stop()


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with monitor_database(tmp_path) as database:
        yield Store(database)

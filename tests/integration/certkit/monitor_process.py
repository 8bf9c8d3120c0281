"""A running monitor: the service that needs the least around it."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.patience import HANG_S
from tests.ports import free_port

__all__ = ["RunningMonitor", "running_monitor", "start_monitor", "until_told"]


@dataclass(frozen=True)
class RunningMonitor:
    url: str
    http: httpx.AsyncClient
    process: asyncio.subprocess.Process


async def start_monitor(
    url: str, folder: Path, *, port: int, monitor_url: str | None = None
) -> asyncio.subprocess.Process:
    """A monitor of a broker, without a registry; its log comes by its output."""
    token = folder / "token"
    token.write_text("none")
    settings = {
        "BUS": json.dumps({"url": url, "identity": "monitor", "plain_text": True, "monitor_url": monitor_url}),
        "HTTP": json.dumps({"port": port, "plain_text": True}),
        "REGISTRY": json.dumps({"url": "http://127.0.0.1:1", "token_file": str(token), "plain_text": True}),
        "DATABASE_URL": f"sqlite:///{folder}/monitor.db",
    }
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "monitor",
        env={**os.environ, **{f"CERTBUS_MONITOR_{name}": value for name, value in settings.items()}},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


@asynccontextmanager
async def running_monitor(url: str, folder: Path, *, monitor_url: str | None = None) -> AsyncIterator[RunningMonitor]:
    """One that was started; it is stopped at the end."""
    port = free_port()
    process = await start_monitor(url, folder, port=port, monitor_url=monitor_url)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            yield RunningMonitor(f"http://127.0.0.1:{port}", client, process)
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.wait(), HANG_S)


async def until_told(client: httpx.AsyncClient, text: str) -> httpx.Response:
    """The answer of /readyz that has this text."""
    async with asyncio.timeout(HANG_S):
        while True:
            with suppress(httpx.TransportError):
                response = await client.get("/readyz")
                if text in response.text:
                    return response
            await asyncio.sleep(0.1)

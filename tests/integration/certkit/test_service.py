"""How a service meets whoever supervises it."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from tests.patience import HANG_S
from tests.ports import free_port

pytestmark = pytest.mark.integration


async def _start(url: str, folder: Path) -> asyncio.subprocess.Process:
    token = folder / "token"
    token.write_text("none")
    settings = {
        "BUS": json.dumps({"url": url, "identity": "monitor", "plain_text": True}),
        "HTTP": json.dumps({"port": free_port(), "plain_text": True}),
        "REGISTRY": json.dumps({"url": "http://127.0.0.1:1", "token_file": str(token), "plain_text": True}),
        "DATABASE_URL": f"sqlite+aiosqlite:///{folder}/monitor.db",
    }
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "monitor",
        env={**os.environ, **{f"CERTBUS_MONITOR_{name}": value for name, value in settings.items()}},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


async def test_a_service_that_can_not_consume_leaves_with_code_3_instead_of_only_looking_healthy(
    nats_url: str, tmp_path: Path
) -> None:
    process = await _start(nats_url, tmp_path)
    told, _ = await asyncio.wait_for(process.communicate(), HANG_S)
    assert process.returncode == 3
    assert all(json.loads(line) for line in told.splitlines()), "each line of the log is JSON"


async def test_settings_that_are_missing_are_told_by_name_with_exit_code_2() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "monitor",
        env={name: value for name, value in os.environ.items() if not name.startswith("CERTBUS_")},
        stderr=asyncio.subprocess.PIPE,
    )
    _, told = await asyncio.wait_for(process.communicate(), HANG_S)
    assert process.returncode == 2
    assert b"setting bus: " in told
    assert b"CERTBUS_MONITOR_BUS" in told

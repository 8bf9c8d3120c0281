"""Two people, or one in two folders, run the whole system on one machine at once."""

import asyncio
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e


async def _run(home: Path) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "certbus", "run", "--once", "--home", str(home)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    told, _ = await process.communicate()
    return process.returncode, told.decode()


async def test_two_systems_started_at_once_both_keep_every_promise(tmp_path: Path) -> None:
    ended = await asyncio.gather(*(_run(tmp_path / name) for name in ("one", "two")))
    for code, told in ended:
        assert code == 0, told
        assert "✗" not in told

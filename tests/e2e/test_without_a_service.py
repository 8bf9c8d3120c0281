"""`certbus run --without SERVICE`, with that one run as a person would run it in a debugger."""

import asyncio
import re
import sys
from pathlib import Path

import pytest

from tests.patience import HANG_S

pytestmark = pytest.mark.e2e

_PRINTED = re.compile(r"^export .*|^\S*python\S* -m issuer$")


async def test_the_story_waits_for_a_service_that_is_run_by_hand(tmp_path: Path) -> None:
    certbus = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "certbus", "run", "--once", "--without", "issuer", "--home", str(tmp_path / "home")),
        stdout=asyncio.subprocess.PIPE,
    )
    assert certbus.stdout is not None
    told: list[str] = []
    printed: list[str] = []
    async with asyncio.timeout(HANG_S):
        while not (printed and printed[-1].endswith("-m issuer")):
            told.append((await certbus.stdout.readline()).decode())
            assert told[-1], "".join(told)
            if _PRINTED.match(told[-1]):
                printed.append(told[-1].strip())
    text = "\n".join(printed)
    assert "cb_" not in text
    assert "PRIVATE" not in text
    issuer = await asyncio.create_subprocess_exec(
        *("sh", "-c", text.replace(printed[-1], f"exec {printed[-1]}")),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        rest, _ = await certbus.communicate()
    finally:
        issuer.terminate()
        await issuer.wait()
    assert certbus.returncode == 0, "".join(told) + rest.decode()
    assert "✓ issuer" in rest.decode()

"""Loopback is captured while the story is played."""

from pathlib import Path

from tests.e2e.running import running_system
from tests.holds.scenarios.overheard import overheard


async def test_overheard(tmp_path: Path) -> None:
    async with running_system(tmp_path) as system:
        await overheard(system)

import asyncio
import random
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[4]


async def test_a_writer_that_is_killed_leaves_the_old_pair_or_the_new_one(tmp_path: Path) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    killer = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.integration.syncer.targets.files_killer",
        str(tmp_path / "store"),
        str(seed),
        "60",
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(killer.communicate(), 90)
    assert killer.returncode == 0, f"seed {seed}: {output.decode()}"

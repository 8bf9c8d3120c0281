"""The disk of each part is full for a while, one after the other."""

from pathlib import Path

import pytest

from tests.holds.figures import hold
from tests.holds.fleet import running_fleet
from tests.holds.scenarios.full_disks import FOLDERS, full_disk, with_small_disks


@pytest.mark.parametrize("what", FOLDERS)
async def test_full_disk(tmp_path: Path, what: str) -> None:
    with with_small_disks(tmp_path) as disks:
        async with running_fleet(tmp_path) as fleet:
            hold(await full_disk(fleet, what, disks[what], count=10, seconds=40.0))

"""The registry comes back from an older copy."""

from pathlib import Path

from tests.holds.figures import hold
from tests.holds.fleet import running_fleet
from tests.holds.scenarios.restored_copy import restored_copy


async def test_restored_copy(tmp_path: Path) -> None:
    async with running_fleet(tmp_path) as fleet:
        hold(await restored_copy(fleet, count=50, unknown=5))

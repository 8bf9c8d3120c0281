"""Everything at once, for ten minutes."""

from pathlib import Path

from tests.holds.figures import hold
from tests.holds.fleet import running_fleet
from tests.holds.scenarios.chaos import chaos
from tests.holds.scenarios.full_disks import with_small_disks

_ROOMY_MIB = 1024


async def test_chaos(tmp_path: Path, seed: int, certificates: int, duration_s: float) -> None:
    with with_small_disks(tmp_path, mib=_ROOMY_MIB) as disks:
        async with running_fleet(tmp_path, certificates=certificates) as fleet:
            hold(await chaos(fleet, disks, seed=seed, seconds=duration_s))

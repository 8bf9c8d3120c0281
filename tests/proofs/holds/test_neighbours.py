"""Others flood, or ask for many at once."""

from pathlib import Path

from tests.holds.figures import hold
from tests.holds.fleet import running_fleet
from tests.holds.scenarios.neighbours import burst, floods


async def test_floods(tmp_path: Path, seed: int) -> None:
    async with running_fleet(tmp_path) as fleet:
        hold(await floods(fleet, count=5, seed=seed))


async def test_burst(tmp_path: Path) -> None:
    async with running_fleet(tmp_path) as fleet:
        hold(await burst(fleet, count=200))

"""The broker, the registry, or the registry's database stands still for a while."""

from pathlib import Path

from tests.holds.figures import hold
from tests.holds.fleet import running_fleet
from tests.holds.scenarios.standstills import frozen_broker, frozen_registry, locked_database


async def test_frozen_broker_and_registry(tmp_path: Path, certificates: int) -> None:
    async with running_fleet(tmp_path, certificates=certificates) as fleet:
        figures = await frozen_broker(fleet, count=60, seconds=25.0)
        figures += await frozen_registry(fleet, count=60, seconds=25.0)
        hold(figures)


async def test_locked_database(tmp_path: Path) -> None:
    async with running_fleet(tmp_path, certificates=20) as fleet:
        hold(await locked_database(fleet, count=10, seconds=15.0))

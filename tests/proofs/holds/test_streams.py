"""The broker loses or damages what it held, or never had it."""

from pathlib import Path

from tests.holds.figures import hold
from tests.holds.fleet import running_fleet
from tests.holds.scenarios.lost_streams import missing_stream, rotten_store, wiped_store


async def test_wiped_store(tmp_path: Path) -> None:
    async with running_fleet(tmp_path, certificates=20) as fleet:
        hold(await wiped_store(fleet, count=20))


async def test_rotten_store(tmp_path: Path, seed: int) -> None:
    async with running_fleet(tmp_path, certificates=20) as fleet:
        figures = []
        for turn in range(5):
            figures += await rotten_store(fleet, count=10, seed=seed + turn)
        hold(figures)


async def test_missing_stream(tmp_path: Path) -> None:
    async with running_fleet(tmp_path) as fleet:
        hold(await missing_stream(fleet, count=10))

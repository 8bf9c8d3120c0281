"""What a certificate costs the registry, and whether memory stays where it is."""

from pathlib import Path

from tests.holds.figures import hold
from tests.holds.fleet import running_fleet
from tests.holds.scenarios.cost import cost_of_a_certificate, steady_under_load

_STORED = 1000


async def test_cost(tmp_path: Path, seed: int, duration_s: float) -> None:
    async with running_fleet(tmp_path, certificates=_STORED) as fleet:
        figures = await cost_of_a_certificate(fleet, count=100, idle_s=30.0)
        figures += await steady_under_load(fleet, seconds=duration_s, seed=seed)
        hold(figures)

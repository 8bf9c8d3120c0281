"""A batch of 100 whose looks are spoiled, one 429, and a newOrder that takes half a minute."""

from pathlib import Path

from certlocal.tools import Tell
from tests.acme_proofs.polls import one_limit, slow_new_order, spoiled_polls
from tests.holds.figures import hold


async def test_polls(tmp_path: Path, seed: int, tell: Tell) -> None:
    hold(await spoiled_polls(tmp_path, seed=seed, tell=tell, jobs=100))


async def test_limit(tmp_path: Path, seed: int, tell: Tell) -> None:
    hold(await one_limit(tmp_path, seed=seed, tell=tell, jobs=60, for_s=20.0))


async def test_new_order(tmp_path: Path, seed: int, tell: Tell) -> None:
    hold(await slow_new_order(tmp_path, seed=seed, tell=tell, seconds=30.0))

"""Issuers killed at exact requests, racing for jobs and taking them over. SEEDS is how many runs of each (20)."""

import os
from pathlib import Path

from certlocal.tools import Tell
from tests.acme_proofs.kills import kills_at_finalize, kills_at_points, taken_over
from tests.holds.figures import Figure, hold

_SEEDS = int(os.environ.get("SEEDS") or 20)


def _folder(parent: Path, seed: int, tell: Tell) -> Path:
    tell(f"seed {seed}")
    folder = parent / str(seed)
    folder.mkdir()
    return folder


async def test_kill_points(tmp_path: Path, seed: int, tell: Tell) -> None:
    figures: list[Figure] = []
    for one in range(seed, seed + _SEEDS):
        figures += await kills_at_points(_folder(tmp_path, one, tell), seed=one, tell=tell)
    hold(_summed(figures))


async def test_kill_points_of_one_machine(tmp_path: Path, seed: int, tell: Tell) -> None:
    """Two issuers on one SQLite journal, where the others have PostgreSQL and a folder each."""
    hold(await kills_at_points(tmp_path, seed=seed, tell=tell, shared=True))


async def test_take_over(tmp_path: Path, seed: int, tell: Tell) -> None:
    figures: list[Figure] = []
    for one in range(seed, seed + _SEEDS):
        figures += await taken_over(_folder(tmp_path, one, tell), seed=one, tell=tell)
    hold(_summed(figures))


async def test_finalize(tmp_path: Path, seed: int, tell: Tell) -> None:
    hold(await kills_at_finalize(tmp_path, seed=seed, tell=tell, kills=60))


def _summed(figures: list[Figure]) -> list[Figure]:
    """The figures of all runs in one table; a sum is held to the sum of the limits, and those of 0 to 0."""
    kinds = dict.fromkeys(figure.what.partition(": ")[2] for figure in figures)
    summed = []
    for kind in kinds:
        same = [figure for figure in figures if figure.what.endswith(f": {kind}")]
        limits = [figure.limit for figure in same if figure.limit is not None]
        summed.append(Figure(f"all runs: {kind}", sum(one.seen for one in same), sum(limits) if limits else None, ""))
    return summed

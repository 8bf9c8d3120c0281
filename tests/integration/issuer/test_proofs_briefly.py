"""What `make prove PART=issuer` plays at length, played briefly: the same limits, without times."""

import os
import random
from pathlib import Path

import pytest

from certlocal.tools import Tell
from tests.acme_proofs.kills import kills_at_finalize, kills_at_points
from tests.acme_proofs.neighbours import silent_neighbour
from tests.acme_proofs.polls import one_limit, slow_new_order, spoiled_polls
from tests.holds.figures import Figure, hold, show

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def seed(tell: Tell) -> int:
    seed = int(os.environ.get("CERTBUS_SEED") or random.SystemRandom().randrange(10**9))
    tell(f"seed {seed}: CERTBUS_SEED={seed} make test T=tests/integration/issuer/conformance/test_proofs_briefly.py")
    return seed


async def test_bad_answers_into_each_look_cost_no_order(tmp_path: Path, seed: int, tell: Tell) -> None:
    hold(await spoiled_polls(tmp_path, seed=seed, tell=tell, jobs=12))


async def test_two_hosts_killed_anywhere_finalize_once(tmp_path: Path, seed: int, tell: Tell) -> None:
    hold(await kills_at_points(tmp_path, seed=seed, tell=tell, points=5))


async def test_an_issuer_killed_at_each_finalize_finalizes_once(tmp_path: Path, seed: int, tell: Tell) -> None:
    hold(await kills_at_finalize(tmp_path, seed=seed, tell=tell, kills=4))


async def test_a_limit_is_heard_by_all_jobs(tmp_path: Path, seed: int, tell: Tell) -> None:
    hold(await one_limit(tmp_path, seed=seed, tell=tell, jobs=20, for_s=4.0))


async def test_a_slow_new_order_is_one(tmp_path: Path, seed: int, tell: Tell) -> None:
    hold(await slow_new_order(tmp_path, seed=seed, tell=tell, seconds=7.0))


async def test_a_silent_ca_keeps_nobody_elsewhere_from_a_certificate(tmp_path: Path, tell: Tell) -> None:
    figures = await silent_neighbour(tmp_path, tell=tell, silent=60, good=10, rounds=1)
    show(figures)
    assert all(figure.held for figure in figures if not _is_a_time(figure))


def _is_a_time(figure: Figure) -> bool:
    return figure.unit in {"s", "%"}

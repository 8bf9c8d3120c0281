"""kill -9 of any service at any moment: the same certificates end live, with exactly one finalized order each."""

import asyncio
import os
import random

import pytest

from certlocal.system import LocalSystem
from tests.e2e.rounds import play

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

_ROUNDS = 5
_LONGEST_S = 8.0


@pytest.fixture(scope="module")
def seed() -> int:
    return int(os.environ.get("CERTBUS_SEED") or random.SystemRandom().randrange(10**9))


async def test_services_killed_at_five_moments_each_change_nothing_of_the_end(system: LocalSystem, seed: int) -> None:
    print(f"seed {seed}: CERTBUS_SEED={seed} make test T=tests/e2e/test_killed_services.py")
    random_source = random.Random(seed)
    revisions = 0
    for number in range(_ROUNDS):
        moments = sorted((random_source.uniform(0.0, _LONGEST_S), name) for name in system.services)
        print(f"round {number}: " + ", ".join(f"{name} at {moment:.2f} s" for moment, name in moments))

        async def kill_each(moments: list[tuple[float, str]] = moments) -> None:
            began = asyncio.get_running_loop().time()
            for moment, name in moments:
                await asyncio.sleep(max(0.0, began + moment - asyncio.get_running_loop().time()))
                await system.kill(name)

        done = await play(system, number, kill_each)
        revisions += done.revisions
        assert len(system.pebble.finalized_orders()) == revisions, f"after round {number}, seed {seed}"
    assert system.restarts >= _ROUNDS * len(system.services)

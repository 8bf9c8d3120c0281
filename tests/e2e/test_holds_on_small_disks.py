"""Full disks, and a short chaos: `make prove PART=holds` plays both at length."""

import os
import random
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.holds.disks import SmallDisk, private_mounts
from tests.holds.figures import show
from tests.holds.fleet import Fleet, running_fleet
from tests.holds.scenarios.chaos import chaos
from tests.holds.scenarios.full_disks import FOLDERS, full_disk, with_small_disks

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

Disks = dict[str, SmallDisk]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cramped(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Fleet, Disks]]:
    private_mounts()
    home = tmp_path_factory.mktemp("home")
    with with_small_disks(home, mib=64) as disks:
        async with running_fleet(home) as fleet:
            yield fleet, disks


@pytest.mark.parametrize("what", FOLDERS)
async def test_a_disk_that_was_full_cost_nothing_but_time(cramped: tuple[Fleet, Disks], what: str) -> None:
    fleet, disks = cramped
    show(await full_disk(fleet, what, disks[what], count=2, seconds=5.0))


async def test_kills_one_after_the_other_lose_nothing_and_are_told(cramped: tuple[Fleet, Disks]) -> None:
    seed = int(os.environ.get("CERTBUS_SEED") or random.SystemRandom().randrange(10**9))
    print(f"seed {seed}: CERTBUS_SEED={seed} make test T=tests/e2e/test_holds_on_small_disks.py")
    fleet, disks = cramped
    show(await chaos(fleet, disks, seed=seed, seconds=10.0, only=lambda name: name.startswith("kill")))

"""What `make prove PART=holds` plays at length and with limits, played briefly: the same ends, without times."""

import os
import random
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.fork_server import fork_server
from tests.holds.figures import show
from tests.holds.fleet import Fleet, running_fleet
from tests.holds.scenarios.lost_streams import missing_stream, rotten_store, wiped_store
from tests.holds.scenarios.neighbours import burst, floods
from tests.holds.scenarios.restored_copy import restored_copy
from tests.holds.scenarios.standstills import frozen_broker, frozen_registry, locked_database

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]


@pytest.fixture(scope="module")
def seed() -> int:
    seed = int(os.environ.get("CERTBUS_SEED") or random.SystemRandom().randrange(10**9))
    print(f"seed {seed}: CERTBUS_SEED={seed} make test T=tests/e2e/test_holds.py")
    return seed


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fleet]:
    async with running_fleet(tmp_path_factory.mktemp("home"), start=fork_server()) as running:
        yield running


async def test_what_waited_goes_on_when_the_broker_lost_everything(fleet: Fleet) -> None:
    show(await wiped_store(fleet, count=6))


async def test_what_waited_goes_on_when_bits_flipped_in_the_brokers_store(fleet: Fleet, seed: int) -> None:
    show(await rotten_store(fleet, count=4, seed=seed))


async def test_a_site_without_its_stream_is_named_and_delays_nobody_for_good(fleet: Fleet) -> None:
    show(await missing_stream(fleet, count=1))


async def test_a_loud_site_and_a_loud_owner_keep_nobody_from_a_certificate(fleet: Fleet, seed: int) -> None:
    show(await floods(fleet, count=1, seed=seed))


async def test_many_at_once_are_all_live_and_so_is_a_single_one_beside_them(fleet: Fleet) -> None:
    show(await burst(fleet, count=15))


async def test_a_broker_that_stood_still_loses_nothing(fleet: Fleet) -> None:
    show(await frozen_broker(fleet, count=6, seconds=8.0))


async def test_a_registry_that_stood_still_loses_nothing(fleet: Fleet) -> None:
    show(await frozen_registry(fleet, count=6, seconds=8.0))


async def test_a_database_that_was_locked_loses_nothing(fleet: Fleet) -> None:
    show(await locked_database(fleet, count=3, seconds=4.0))


async def test_a_registry_restored_from_an_older_copy_orders_nothing_again(fleet: Fleet) -> None:
    show(await restored_copy(fleet, count=3, unknown=1))

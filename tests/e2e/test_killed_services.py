"""kill -9 of any service at any moment: the same certificates end live. `make prove PART=kills` plays many rounds."""

import os
import random

import pytest

from certlocal.system import LocalSystem
from tests.e2e.killing import kill_in_rounds

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]


async def test_services_killed_at_random_moments_change_nothing_of_the_end(system: LocalSystem) -> None:
    seed = int(os.environ.get("CERTBUS_SEED") or random.SystemRandom().randrange(10**9))
    print(f"seed {seed}: CERTBUS_SEED={seed} make test T=tests/e2e/test_killed_services.py")
    await kill_in_rounds(system, rounds=2, seed=seed)

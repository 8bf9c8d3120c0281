"""20 rounds of kill -9 of every service at a random moment."""

from pathlib import Path

from certlocal.process import execute
from tests.e2e.killing import kill_in_rounds
from tests.e2e.running import running_system

_ROUNDS = 20


async def test_services_killed_in_many_rounds_change_nothing_of_the_end(tmp_path: Path, seed: int) -> None:
    async with running_system(tmp_path, start=execute) as system:
        await kill_in_rounds(system, rounds=_ROUNDS, seed=seed)

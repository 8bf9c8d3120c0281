"""kill -9 of every service at a random moment of a certificate's life, again and again."""

import asyncio
import random

from certlocal.system import LocalSystem
from tests.e2e.rounds import play

__all__ = ["kill_in_rounds"]

_LONGEST_S = 8.0


async def kill_in_rounds(system: LocalSystem, *, rounds: int, seed: int) -> None:
    """After each round the same certificates are live, with exactly one finalized order for each revision."""
    random_source = random.Random(seed)
    revisions = 0
    for number in range(rounds):
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
    assert system.restarts >= rounds * len(system.services)

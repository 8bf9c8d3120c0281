"""10,000 orders at a simulated CA with Let's Encrypt's limits: it refuses none while others keep to what is left to
them, and teaches where they don't.
"""

import os
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from tests.budgets.played import play

_SEEDS = 20
_OTHERS = 0.08
"""Of each limit: certbus leaves a tenth, and what is on its way is not yet counted."""
_TOO_MUCH = 0.5


def _orders() -> int:
    return int(os.environ.get("N") or 10_000)


def test_no_order_is_refused(seed: int) -> None:
    with ProcessPoolExecutor(2) as pool:
        work = partial(play, orders=_orders(), others=_OTHERS)
        played = []
        for one in pool.map(work, range(seed, seed + _SEEDS)):
            print(one.line(), flush=True)
            played.append(one)
    assert [one.seed for one in played if one.outcome.refusals] == []
    # Others were there, and things went wrong.
    assert all(one.outcome.seen["others"] > one.orders / 20 for one in played)
    assert all(one.outcome.seen["answer lost"] and one.outcome.seen["failed validations"] for one in played)


def test_others_who_take_more_than_is_left_to_them_teach(seed: int) -> None:
    one = play(seed, orders=_orders() // 5, others=_TOO_MUCH)
    print(one.line(), dict(one.outcome.refusals), flush=True)
    assert one.outcome.refusals
    assert one.outcome.granted_while_held == 0
    assert sum(one.outcome.refusals.values()) < one.outcome.seen["orders"] / 2

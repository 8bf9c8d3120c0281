from datetime import datetime, timedelta

import pytest

from certcore.events import ServingVerdict as V
from registry.domain.endpoint import are_stale, is_stale, looked_at
from tests.unit.registry.samples import NOON, endpoint, worker

SEEN = endpoint(V.WANTED, revision=1)


def later(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


@pytest.mark.parametrize(
    ("verdict", "in_a_row", "faulty", "doubtful"),
    [
        (None, None, False, False),
        (V.WANTED, 0, False, False),
        (V.PREVIOUS, None, False, False),
        (V.OTHER, 1, False, True),
        (V.OTHER, 2, True, False),
        (V.OTHER, None, True, False),
        ("melted", 2, True, False),
    ],
)
def test_a_fault_counts_from_the_second_look_in_a_row(
    verdict: V | str | None,
    in_a_row: int | None,
    faulty: bool,  # noqa: FBT001 # a column
    doubtful: bool,  # noqa: FBT001 # a column
) -> None:
    found = endpoint(verdict=verdict, in_a_row=in_a_row)  # type: ignore[arg-type] # a newer monitor's word
    assert (found.is_faulty, found.is_doubtful) == (faulty, doubtful)


def test_nobody_looks_where_every_worker_is_three_periods_late() -> None:
    assert are_stale([], now=NOON)
    assert not are_stale([worker()], now=later(3))
    assert are_stale([worker()], now=later(3.1))
    assert not are_stale([worker(), worker(ended=later(3))], now=later(3.1))


def test_a_round_looked_at_whatever_it_does_not_say_it_missed() -> None:
    assert looked_at(SEEN, [worker(ended=later(5))]) == later(5)
    assert looked_at(SEEN, [worker(ended=later(5), missed=(SEEN.url,))]) == NOON
    assert looked_at(SEEN, []) == NOON


def test_a_round_says_nothing_of_an_endpoint_that_was_never_seen() -> None:
    assert looked_at(endpoint(), [worker(ended=later(5))]) is None


def test_what_was_seen_is_too_old_after_three_of_the_longest_periods() -> None:
    assert not is_stale(SEEN, [], now=later(3))
    assert is_stale(SEEN, [], now=later(3.1))
    slow = worker(period_s=600)
    assert not is_stale(SEEN, [slow], now=later(30))
    assert is_stale(SEEN, [slow], now=later(30.1))

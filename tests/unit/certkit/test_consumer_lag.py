from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from certkit.consumer_lag import STUCK_AFTER, Figures, Lag, measured

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def figures(*, pending: int, handed_over: int) -> Figures:
    return Figures(pending=pending, ack_pending=0, redelivered=0, handed_over=handed_over)


def looked(*each: Figures, every: timedelta) -> tuple[Lag, datetime]:
    """What remains of looks that came one after the other, and when the last was."""
    lag, now = None, NOON
    for number, found in enumerate(each):
        now = NOON + number * every
        lag = measured(lag, found, now=now)
    assert lag is not None
    return lag, now


def test_who_has_nothing_to_read_is_not_behind() -> None:
    lag, now = looked(*[figures(pending=0, handed_over=7)] * 100, every=10 * SECOND)
    assert lag.waiting_since is None
    assert not lag.stuck(now)


def test_who_reads_one_after_the_other_has_only_work() -> None:
    lag, now = looked(*(figures(pending=1000 - n, handed_over=n) for n in range(100)), every=10 * SECOND)
    assert lag.waiting_since == NOON
    assert not lag.stuck(now)


def test_who_reads_none_for_a_minute_is_stuck_until_one_is_read() -> None:
    waiting = [figures(pending=3, handed_over=7)] * 7
    lag, now = looked(*waiting[:6], every=10 * SECOND)
    assert not lag.stuck(now)
    lag, now = looked(*waiting, every=10 * SECOND)
    assert lag.stuck(now)
    lag, now = looked(*waiting, figures(pending=2, handed_over=8), every=10 * SECOND)
    assert not lag.stuck(now)
    assert lag.waiting_since == NOON


def test_a_message_after_a_quiet_night_has_its_minute_too() -> None:
    quiet = [figures(pending=0, handed_over=7)] * 100
    lag, now = looked(*quiet, figures(pending=1, handed_over=7), every=60 * SECOND)
    assert not lag.stuck(now)
    assert lag.stuck(now + STUCK_AFTER)


@given(pending=st.integers(1, 9), handed_over=st.lists(st.integers(0, 9), min_size=1, max_size=30))
def test_nobody_is_stuck_within_a_minute_of_the_last_message(pending: int, handed_over: list[int]) -> None:
    lag, now = looked(*(figures(pending=pending, handed_over=n) for n in handed_over), every=10 * SECOND)
    assert not lag.stuck(lag.moved + STUCK_AFTER - SECOND)
    assert lag.moved <= now

"""What holds for a bucket, whatever is asked of it."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certcore.ca_limits.bucket import FULL, Bucket, confirmed, counted, queued, ready_at, refunded, taken, taught
from certcore.ca_limits.limit import HOLD, Limit, pace_of
from tests.budgets.simulated_ca import Tokens
from tests.unit.issuer.domain.budgets import GAPS, LIMITS, seconds
from tests.unit.issuer.samples import NOON

_A_TICK = timedelta(microseconds=1)
SHARES = st.sampled_from([1.0, 0.9, 0.5, 0.1])
# What happens to a bucket, and after how long.
EVENTS = st.lists(st.tuples(GAPS, st.sampled_from(["take", "take", "take", "count", "teach"])), max_size=30)


def tokens_of(limit: Limit) -> Tokens:
    return Tokens.of(limit.burst or limit.count, limit.period.total_seconds(), count=limit.count)


def after(events: list[tuple[float, str]], limit: Limit, share: float) -> tuple[Bucket, datetime]:
    bucket, now, pace = FULL, NOON, pace_of(limit, share)
    for gap, what in events:
        now += seconds(gap)
        if what == "count":
            bucket = counted(bucket, pace, now)
        elif what == "teach":
            bucket = taught(bucket, pace, now, retry_at=now + seconds(gap / 2), sent_at=now)
        elif ready_at(bucket, pace, now) <= now:
            bucket = taken(bucket, pace, now)
    return bucket, now


@pytest.mark.hypothesis
@given(LIMITS, SHARES, st.lists(GAPS, max_size=40))
def test_in_no_window_is_more_taken_than_the_ca_allows(limit: Limit, share: float, gaps: list[float]) -> None:
    bucket, now, pace, at_ca, times = FULL, NOON, pace_of(limit, share), tokens_of(limit), list[datetime]()
    for gap in gaps:
        now += seconds(gap)
        if ready_at(bucket, pace, now) <= now:
            bucket = taken(bucket, pace, now)
            times.append(now)
            assert at_ca.take((now - NOON).total_seconds())
    capacity, every = limit.burst or limit.count, limit.period / limit.count
    for first, begin in enumerate(times):
        for last, end in enumerate(times[first:], first):
            assert last - first + 1 <= capacity + (end - begin) / every + 1e-6


@pytest.mark.hypothesis
@given(LIMITS, SHARES, EVENTS)
def test_when_it_is_said_to_be_ready_it_is_and_not_before(
    limit: Limit, share: float, events: list[tuple[float, str]]
) -> None:
    bucket, now = after(events, limit, share)
    pace = pace_of(limit, share)
    at = ready_at(bucket, pace, now)
    assert ready_at(bucket, pace, at) == at
    if at > now:
        assert ready_at(bucket, pace, at - _A_TICK) > at - _A_TICK


@pytest.mark.hypothesis
@given(LIMITS, SHARES, EVENTS, GAPS)
def test_a_lesson_holds_until_its_time_and_no_longer(
    limit: Limit, share: float, events: list[tuple[float, str]], wait: float
) -> None:
    bucket, now = after(events, limit, share)
    pace = pace_of(limit, share)
    before = ready_at(bucket, pace, now)
    learned = taught(bucket, pace, now, retry_at=now + seconds(wait), sent_at=now)
    at = ready_at(learned, pace, now)
    assert at == max(before, now + seconds(wait))
    # Then there is one, and not a second one.
    assert ready_at(taken(learned, pace, at), pace, at) > at


@pytest.mark.hypothesis
@given(LIMITS, st.lists(st.tuples(GAPS, GAPS), max_size=25))
def test_what_the_ca_counts_later_is_within_its_limit_then(limit: Limit, orders: list[tuple[float, float]]) -> None:
    """All of a limit is used, and each is counted by the CA only after a time of its own."""
    pace, at_ca, now = pace_of(limit, 1.0), tokens_of(limit), NOON
    starts: list[tuple[datetime, datetime]] = []
    for gap, slow in orders:
        now += seconds(gap)
        starts.append((now, now + seconds(slow)))
    bucket, granted = FULL, dict[int, datetime]()
    moments = [(start, 1, index) for index, (start, _) in enumerate(starts)]
    moments += [(end, 0, index) for index, (_, end) in enumerate(starts)]
    for at, begins, index in sorted(moments):
        if begins and ready_at(bucket, pace, at) <= at:
            bucket = taken(bucket, pace, at)
            granted[index] = at
            # newOrder: the CA looks, and takes nothing.
            assert at_ca.wait_s((at - NOON).total_seconds()) == 0
        elif not begins and index in granted:
            bucket = confirmed(bucket, pace, at, taken_at=granted[index])
            at_ca.take((at - NOON).total_seconds())


@pytest.mark.hypothesis
@given(LIMITS, st.lists(GAPS, min_size=1, max_size=20), st.data())
def test_what_is_given_back_is_never_more_than_what_was_taken(
    limit: Limit, gaps: list[float], data: st.DataObject
) -> None:
    pace, now = pace_of(limit, 1.0), NOON
    with_it, without, given_back = FULL, FULL, data.draw(st.integers(0, len(gaps) - 1))
    taken_at = NOON
    for index, gap in enumerate(gaps):
        now += seconds(gap)
        with_it = taken(with_it, pace, now)
        if index == given_back:
            taken_at = now
        else:
            without = taken(without, pace, now)
    back = refunded(with_it, pace, now, taken_at=taken_at)
    assert max(back.full_at, now) >= max(without.full_at, now) - _A_TICK * len(gaps)
    assert back.full_at <= with_it.full_at


def test_what_is_given_back_at_once_is_there_again() -> None:
    pace = pace_of(Limit(count=5, period=timedelta(days=7)), 1.0)
    once = taken(FULL, pace, NOON)
    twice = taken(once, pace, NOON)
    assert refunded(twice, pace, NOON, taken_at=NOON) == once


def test_whoever_stands_in_line_is_told_a_later_time_each() -> None:
    pace = pace_of(Limit(count=3, period=timedelta(hours=3)), 1.0)
    empty = FULL
    for _ in range(3):
        empty = taken(empty, pace, NOON)
    told = [ready_at(queued(empty, pace, NOON, ahead), pace, NOON) for ahead in range(3)]
    assert told == [NOON + timedelta(hours=hours) for hours in (1, 2, 3)]


def test_each_lesson_makes_the_next_ones_dearer_until_it_is_forgotten() -> None:
    pace = pace_of(Limit(count=10, period=timedelta(hours=10)), 1.0)
    bucket, now = FULL, NOON
    for hours in (1, 2, 3):
        bucket = taken(taught(bucket, pace, now, retry_at=now, sent_at=now), pace, now)
        assert ready_at(bucket, pace, now) == now + timedelta(hours=1 + hours)
        now = ready_at(bucket, pace, now)
    later = now + timedelta(hours=60)
    bucket = taken(bucket, pace, later)
    assert bucket.full_at == later + timedelta(hours=1)


def test_what_was_sent_before_a_lesson_teaches_only_the_time() -> None:
    pace = pace_of(Limit(count=10, period=timedelta(hours=10)), 1.0)
    first = taught(FULL, pace, NOON, retry_at=NOON + timedelta(hours=1), sent_at=NOON - timedelta(seconds=1))
    again = taught(first, pace, NOON, retry_at=NOON + timedelta(hours=2), sent_at=NOON - timedelta(seconds=1))
    assert (first.lessons, again.lessons) == (1, 1)
    assert ready_at(again, pace, NOON) == NOON + timedelta(hours=2)


def test_a_hold_ends_at_its_time_and_costs_nobody_anything() -> None:
    held = taught(FULL, HOLD, NOON, retry_at=NOON + timedelta(minutes=5), sent_at=NOON)
    assert ready_at(held, HOLD, NOON) == NOON + timedelta(minutes=5)
    assert taken(held, HOLD, NOON + timedelta(minutes=5)).full_at == NOON + timedelta(minutes=5)


def untold(bucket: Bucket, now: datetime, *, sent_at: datetime | None = None) -> Bucket:
    return taught(bucket, HOLD, now, retry_at=None, sent_at=sent_at or now)


def test_refusals_in_a_row_without_a_time_are_waited_for_ever_longer() -> None:
    held, now, waits = FULL, NOON, list[timedelta]()
    for _ in range(12):
        held = untold(held, now)
        waits.append(ready_at(held, HOLD, now) - now)
        now = ready_at(held, HOLD, now)
    assert waits == [timedelta(minutes=n) for n in (1, 2, 4, 8, 16, 32, *[60] * 6)]
    later = now + timedelta(hours=1)
    assert ready_at(untold(held, later), HOLD, later) == later + timedelta(minutes=1)


def test_refusals_of_what_was_sent_together_are_one_of_the_row() -> None:
    held, tick = FULL, timedelta(milliseconds=5)
    for number in range(1, 4):
        held = untold(held, NOON + number * tick, sent_at=NOON)
    assert held.lessons == 1
    assert ready_at(held, HOLD, NOON) == NOON + timedelta(minutes=1) + 3 * tick

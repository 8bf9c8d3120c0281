from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from certcore.events import ServingVerdict
from monitor.domain.reporting import REPORT_EVERY
from monitor.domain.schedule import NextLook, Pace, Periods, first_look, next_look

PERIODS = Periods(routine=timedelta(seconds=60), rollout=timedelta(seconds=1), grace=timedelta(seconds=300))
JITTER = st.floats(0, 1, exclude_max=True)
LONG = timedelta(hours=1)


def following(
    verdict: ServingVerdict,
    age: timedelta,
    *,
    dead: int = 0,
    bad: int = 0,
    jitter: float = 0.5,
    periods: Periods = PERIODS,
) -> NextLook:
    return next_look(verdict=verdict, bad_looks=bad, rollout_age=age, dead_looks=dead, periods=periods, jitter=jitter)


def test_a_rollout_is_watched_closely_until_it_is_seen_or_old() -> None:
    young = timedelta(seconds=10)
    assert following(ServingVerdict.PREVIOUS, young).pace is Pace.ROLLING_OUT
    assert following(ServingVerdict.UNREACHABLE, young, dead=50).pace is Pace.ROLLING_OUT
    assert following(ServingVerdict.WANTED, young).pace is Pace.ROUTINE
    assert following(ServingVerdict.PREVIOUS, LONG).pace is Pace.ROUTINE


@given(st.sampled_from(ServingVerdict), st.integers(0, 10**6), st.floats(0.01, 10**5), JITTER)
def test_a_first_bad_look_is_repeated_within_seconds(
    verdict: ServingVerdict, age_s: int, rollout_s: float, jitter: float
) -> None:
    periods = Periods(routine=LONG, rollout=timedelta(seconds=rollout_s), grace=timedelta(seconds=300))
    soon = following(verdict, timedelta(seconds=age_s), bad=1, dead=1, jitter=jitter, periods=periods)
    assert soon.pace is Pace.CONFIRMING
    assert soon.after <= min(timedelta(seconds=3), periods.rollout)


def test_a_dead_endpoint_is_asked_less_often_from_the_second_failure_on() -> None:
    assert following(ServingVerdict.UNREACHABLE, LONG, dead=1).pace is Pace.ROUTINE
    assert following(ServingVerdict.UNREACHABLE, LONG, dead=2, bad=2).pace is Pace.BACKED_OFF


@given(st.sampled_from(ServingVerdict), st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6), JITTER)
def test_no_look_is_so_old_that_it_shows_nothing_before_the_next(
    verdict: ServingVerdict, age_s: int, dead: int, bad: int, jitter: float
) -> None:
    after = following(verdict, timedelta(seconds=age_s), dead=dead, bad=bad, jitter=jitter).after
    assert timedelta(seconds=0.9) <= after <= 1.5 * PERIODS.routine < REPORT_EVERY


@given(st.integers(0, 10**6), JITTER)
def test_where_nothing_is_new_the_period_is_the_longest_wait(age_s: int, jitter: float) -> None:
    assert following(ServingVerdict.WANTED, timedelta(seconds=age_s), jitter=jitter).after <= PERIODS.routine


@given(st.integers(1, 100), JITTER)
def test_a_dead_endpoint_is_never_asked_more_often_the_longer_it_is_dead(dead: int, jitter: float) -> None:
    waits = [
        following(ServingVerdict.UNREACHABLE, LONG, dead=count, bad=2, jitter=jitter).after
        for count in (dead, dead + 1)
    ]
    assert waits[0] <= waits[1]


def test_looks_that_were_due_together_drift_apart() -> None:
    waits = [
        following(ServingVerdict.WANTED, LONG, jitter=number / 1000).after.total_seconds() for number in range(1000)
    ]
    assert min(waits) < 37
    assert max(waits) > 59
    assert abs(sum(waits) / 1000 - 48) < 0.1


@given(st.integers(0, 100_000), JITTER)
def test_first_looks_after_a_restart_are_spread(endpoints: int, jitter: float) -> None:
    wait = first_look(endpoints=endpoints, periods=PERIODS, jitter=jitter)
    assert timedelta(0) <= wait <= PERIODS.routine
    assert wait <= timedelta(seconds=endpoints / 50)

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from certcore.events import ServingVerdict
from monitor.domain.schedule import REPORT_EVERY, Pace, Periods, first_look, next_look

PERIODS = Periods(routine=timedelta(seconds=60), rollout=timedelta(seconds=1), grace=timedelta(seconds=300))
JITTER = st.floats(0, 1, exclude_max=True)
LONG = timedelta(hours=1)


def pace(verdict: ServingVerdict, age: timedelta, dead: int = 0) -> Pace:
    return next_look(verdict=verdict, rollout_age=age, dead_looks=dead, periods=PERIODS, jitter=0.5).pace


def test_a_roll_out_is_watched_closely_until_it_is_seen_or_old() -> None:
    young = timedelta(seconds=10)
    assert pace(ServingVerdict.PREVIOUS, young) is Pace.ROLLING_OUT
    assert pace(ServingVerdict.UNREACHABLE, young, dead=50) is Pace.ROLLING_OUT
    assert pace(ServingVerdict.WANTED, young) is Pace.ROUTINE
    assert pace(ServingVerdict.PREVIOUS, LONG) is Pace.ROUTINE


def test_a_dead_endpoint_is_backed_off_from_only_after_a_second_failure() -> None:
    assert pace(ServingVerdict.UNREACHABLE, LONG, dead=1) is Pace.ROUTINE
    assert pace(ServingVerdict.UNREACHABLE, LONG, dead=2) is Pace.BACKED_OFF


@given(st.sampled_from(ServingVerdict), st.integers(0, 10**6), st.integers(0, 10**6), JITTER)
def test_every_endpoint_is_seen_often_enough_to_be_reported(
    verdict: ServingVerdict, age_s: int, dead: int, jitter: float
) -> None:
    after = next_look(
        verdict=verdict, rollout_age=timedelta(seconds=age_s), dead_looks=dead, periods=PERIODS, jitter=jitter
    ).after
    assert timedelta(seconds=0.9) <= after < REPORT_EVERY


@given(st.integers(1, 100), JITTER)
def test_a_dead_endpoint_is_never_asked_more_often_the_longer_it_is_dead(dead: int, jitter: float) -> None:
    waits = [
        next_look(
            verdict=ServingVerdict.UNREACHABLE, rollout_age=LONG, dead_looks=count, periods=PERIODS, jitter=jitter
        ).after
        for count in (dead, dead + 1)
    ]
    assert waits[0] <= waits[1]


def test_looks_that_were_due_together_drift_apart() -> None:
    waits = [
        next_look(
            verdict=ServingVerdict.WANTED, rollout_age=LONG, dead_looks=0, periods=PERIODS, jitter=number / 1000
        ).after.total_seconds()
        for number in range(1000)
    ]
    assert min(waits) < 49
    assert max(waits) > 71
    assert abs(sum(waits) / 1000 - 60) < 0.1


@given(st.integers(0, 100_000), JITTER)
def test_first_looks_after_a_restart_are_spread(endpoints: int, jitter: float) -> None:
    wait = first_look(endpoints=endpoints, periods=PERIODS, jitter=jitter)
    assert timedelta(0) <= wait <= PERIODS.routine
    assert wait <= timedelta(seconds=endpoints / 50)

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certcore.errors import PermanentError, TransientError
from certkit.restarts import Ending, GiveUp, Restart, RestartLimits, Why, decide, ending_of, round_pause

LIMITS = RestartLimits(first_pause=timedelta(seconds=1), longest_pause=timedelta(seconds=15), max_failures=3)

endings = st.sampled_from(Ending)


@pytest.mark.parametrize(
    ("error", "cancelled", "ending"),
    [
        (None, False, Ending.RETURNED),
        (None, True, Ending.CANCELLED),
        (TransientError("the bus is away"), False, Ending.TRANSIENT),
        (PermanentError("refused"), False, Ending.UNFORESEEN),
        (KeyError("a fault of ours"), False, Ending.UNFORESEEN),
    ],
)
def test_an_ending_has_one_word(error: Exception | None, *, cancelled: bool, ending: Ending) -> None:
    assert ending_of(error, cancelled=cancelled) is ending


def test_pauses_double_up_to_the_longest() -> None:
    decisions = [decide(Ending.TRANSIENT, failures=n, vital=False, limits=LIMITS) for n in range(1, 8)]
    assert [decision.delay.seconds for decision in decisions if isinstance(decision, Restart)] == [
        *(1, 2, 4, 8),
        *(15, 15, 15),
    ]


@given(ending=endings, failures=st.integers(1, 1000))
def test_a_vital_task_is_never_begun_again(ending: Ending, failures: int) -> None:
    assert decide(ending, failures=failures, vital=True, limits=LIMITS) == GiveUp(Why.VITAL, ending)


@given(ending=st.sampled_from([Ending.TRANSIENT, Ending.CANCELLED]), failures=st.integers(1, 1000))
def test_what_passes_by_itself_never_ends_the_process(ending: Ending, failures: int) -> None:
    assert isinstance(decide(ending, failures=failures, vital=False, limits=LIMITS), Restart)


@given(ending=st.sampled_from([Ending.RETURNED, Ending.UNFORESEEN]), failures=st.integers(1, 1000))
def test_a_fault_of_ours_is_given_up_after_so_many_in_a_row(ending: Ending, failures: int) -> None:
    decision = decide(ending, failures=failures, vital=False, limits=LIMITS)
    if failures < LIMITS.max_failures:
        assert isinstance(decision, Restart)
    else:
        assert decision == GiveUp(Why.TOO_MANY_FAILURES, ending)


@given(ending=endings, failures=st.integers(1, 9))
def test_by_default_a_task_is_back_within_half_a_minute(ending: Ending, failures: int) -> None:
    decision = decide(ending, failures=failures, vital=False, limits=RestartLimits())
    assert isinstance(decision, Restart)
    assert decision.delay <= timedelta(seconds=30)


def test_a_round_starts_so_many_seconds_after_the_start_of_the_one_before() -> None:
    for took_s, pause in ((0.0, 60.0), (45.0, 15.0), (90.0, 0.0)):
        assert round_pause(every_s=60.0, took_s=took_s, failures=0, jitter=0.5) == pause


def test_a_round_that_failed_waits_longer_each_time_and_never_comes_at_once() -> None:
    pauses = [round_pause(every_s=60.0, took_s=90.0, failures=number, jitter=0.0) for number in range(1, 10)]
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (1.0, 60.0)
    assert round_pause(every_s=0.5, took_s=90.0, failures=9, jitter=0.0) == 0.5


def test_rounds_that_failed_together_do_not_come_back_together() -> None:
    assert {round_pause(every_s=60.0, took_s=0.0, failures=3, jitter=jitter) for jitter in (0.0, 0.5, 1.0)} == {
        4.0,
        3.0,
        2.0,
    }

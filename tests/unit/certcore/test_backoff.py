from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from certcore.backoff import delay_after

_FAILURES = st.integers(min_value=1, max_value=10_000)
_JITTERS = st.floats(min_value=0, max_value=1)


def test_the_first_retry_comes_after_a_second_and_later_ones_take_longer() -> None:
    assert [delay_after(failures, jitter=0).total_seconds() for failures in (1, 2, 3, 4)] == [1, 2, 4, 8]


@given(failures=_FAILURES, jitter=_JITTERS)
def test_delays_grow_to_the_limit_and_never_vanish(failures: int, jitter: float) -> None:
    longest = timedelta(minutes=1)
    delay = delay_after(failures, jitter=jitter, longest=longest)
    assert timedelta(seconds=0.5) <= delay <= longest
    assert delay <= delay_after(failures + 1, jitter=jitter, longest=longest)


@given(failures=_FAILURES, jitter=_JITTERS, asked=st.integers(min_value=0, max_value=900))
def test_a_wait_that_the_other_side_asked_for_is_kept(failures: int, jitter: float, asked: int) -> None:
    retry_after = timedelta(seconds=asked)
    assert delay_after(failures, jitter=jitter, retry_after=retry_after) >= retry_after

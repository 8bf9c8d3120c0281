from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from syncer.domain.backoff import delay_after

jitters = st.floats(min_value=0, max_value=1)


def test_the_first_retry_comes_after_a_second_and_later_ones_take_longer() -> None:
    assert [delay_after(failures, jitter=0).total_seconds() for failures in (1, 2, 3, 4)] == [1, 2, 4, 8]


@given(failures=st.integers(min_value=0, max_value=10_000), jitter=jitters)
def test_a_retry_is_never_further_than_a_minute_and_never_at_once(failures: int, jitter: float) -> None:
    assert timedelta(seconds=0.5) <= delay_after(failures, jitter=jitter) <= timedelta(minutes=1)


@given(
    failures=st.integers(min_value=1, max_value=100), jitter=jitters, asked=st.integers(min_value=0, max_value=900)
)
def test_a_wait_that_the_other_side_asked_for_is_kept(failures: int, jitter: float, asked: int) -> None:
    retry_after = timedelta(seconds=asked)
    assert delay_after(failures, jitter=jitter, retry_after=retry_after) >= retry_after

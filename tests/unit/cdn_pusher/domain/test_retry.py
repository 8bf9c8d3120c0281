from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from cdn_pusher.domain.retry import retry_delay


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_delays_grow_to_a_limit_and_never_vanish(tries: int, jitter: float) -> None:
    delay = retry_delay(tries, jitter=jitter)
    assert timedelta(seconds=0.5) <= delay <= timedelta(minutes=5)
    assert delay <= retry_delay(tries + 1, jitter=jitter)


def test_jitter_only_shortens() -> None:
    assert retry_delay(3, jitter=0.0) == timedelta(seconds=4)
    assert retry_delay(3, jitter=0.999) < timedelta(seconds=2.1)

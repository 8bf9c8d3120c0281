from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from issuer.domain.polling import delay_before_look

ASKED = st.none() | st.timedeltas(min_value=timedelta(), max_value=timedelta(days=30))


def test_the_first_look_comes_soon_whatever_the_ca_asks_for() -> None:
    assert delay_before_look(1, retry_after=timedelta(seconds=5)) == 0.05


def test_from_the_second_look_on_the_ca_is_obeyed() -> None:
    assert delay_before_look(2, retry_after=timedelta(seconds=1)) == 1.0
    assert delay_before_look(2, retry_after=timedelta(hours=1)) == 10.0


def test_without_a_word_of_the_ca_looks_get_rarer() -> None:
    delays = [delay_before_look(look, retry_after=None) for look in range(1, 15)]
    assert delays == sorted(delays)
    assert delays[1] < 0.1
    assert delays[-1] == 3.0


@given(st.integers(1, 10**6), ASKED)
def test_a_look_never_comes_at_once_and_never_too_late(look: int, retry_after: timedelta | None) -> None:
    assert 0.05 <= delay_before_look(look, retry_after=retry_after) <= 10.0

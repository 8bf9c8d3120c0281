from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from issuer.domain.polling import Pace, delay_before_look, learned, wait_by_timer

SECOND = timedelta(seconds=1)
ASKED = st.none() | st.timedeltas(min_value=timedelta(), max_value=timedelta(days=30))


def looks(took: float, pace: Pace, *, retry_after: timedelta | None = None) -> tuple[int, float, bool]:
    """How many looks an order needs that moves after `took` seconds, when that is found, and whether by a timer."""
    elapsed, look = 0.0, 1
    while (delay := delay_before_look(look, elapsed=elapsed, retry_after=retry_after, pace=pace)) is not None:
        elapsed += delay
        if elapsed >= took:
            return look, elapsed, False
        look += 1
    waited = timedelta()
    while True:
        waited += wait_by_timer(waited, retry_after=retry_after)
        if elapsed + waited.total_seconds() >= took:
            return look, elapsed + waited.total_seconds(), True
        look += 1


def test_the_first_look_comes_when_orders_usually_moved_whatever_the_ca_asks_for() -> None:
    assert delay_before_look(1, elapsed=0, retry_after=5 * SECOND, pace=Pace(0.05)) == 0.05
    assert delay_before_look(1, elapsed=0, retry_after=None, pace=Pace(1.2)) == 1.2


def test_from_the_second_look_on_the_ca_is_obeyed() -> None:
    assert delay_before_look(2, elapsed=0.05, retry_after=SECOND, pace=Pace()) == 1.0
    assert delay_before_look(2, elapsed=0.05, retry_after=3 * SECOND, pace=Pace()) is None
    assert wait_by_timer(timedelta(), retry_after=3 * SECOND) == 3 * SECOND


def test_who_needs_longer_than_two_seconds_waits_by_timer() -> None:
    assert looks(0.04, Pace()) == (1, 0.05, False)
    assert looks(1.3, Pace()) == (4, 1.35, False)
    assert looks(2.1, Pace())[2] is True


def test_timers_get_rarer() -> None:
    waited, waits = timedelta(), []
    for _ in range(20):
        waits.append(wait_by_timer(waited, retry_after=None))
        waited += waits[-1]
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (SECOND, timedelta(minutes=10))


def test_at_a_slow_ca_an_order_costs_two_looks_once_its_pace_is_known() -> None:
    """Between 0 and 3 seconds, each as often as the other."""
    pace, spent = Pace(), []
    for number in range(300):
        took = (number * 7 % 30) / 10
        spent.append(looks(took, pace)[0])
        pace = learned(pace, moved=took <= pace.usual)
    assert 0.8 < pace.usual <= 2.0
    assert sum(spent[50:]) / len(spent[50:]) < 2.2


def test_at_a_quick_ca_the_first_look_stays_soon() -> None:
    pace = Pace(2.0)
    for _ in range(20):
        pace = learned(pace, moved=True)
    assert pace.usual == 0.05


@given(st.integers(1, 10**3), st.floats(0, 2), ASKED, st.lists(st.booleans(), max_size=50))
def test_a_look_never_comes_at_once_and_quick_ones_end_soon(
    look: int, elapsed: float, retry_after: timedelta | None, moved: list[bool]
) -> None:
    pace = Pace()
    for one in moved:
        pace = learned(pace, moved=one)
    delay = delay_before_look(look, elapsed=elapsed, retry_after=retry_after, pace=pace)
    assert delay is None or 0.05 <= delay <= 2.0
    assert SECOND <= wait_by_timer(timedelta(seconds=elapsed), retry_after=retry_after) <= timedelta(hours=1)

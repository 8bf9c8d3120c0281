from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from issuer.domain.breaker import ANSWERS, CLOSED, TROUBLES, Breaker, BreakerRule, Position, after_trouble, position
from tests.unit.issuer.samples import NOON

RULE = BreakerRule(failures=3, first=timedelta(seconds=5), longest=timedelta(seconds=30))
SECOND = timedelta(seconds=1)


def opened() -> Breaker:
    breaker = CLOSED
    for _ in range(RULE.failures):
        breaker = after_trouble(breaker, now=NOON, rule=RULE)
    return breaker


def test_it_opens_after_several_failures_in_a_row() -> None:
    breaker = CLOSED
    for _ in range(RULE.failures - 1):
        breaker = after_trouble(breaker, now=NOON, rule=RULE)
    assert position(breaker, NOON) is Position.CLOSED
    breaker = after_trouble(breaker, now=NOON, rule=RULE)
    assert position(breaker, NOON) is Position.OPEN
    assert breaker.away_since == NOON


def test_it_is_half_open_when_its_pause_is_over() -> None:
    assert position(opened(), NOON + 4 * SECOND) is Position.OPEN
    assert position(opened(), NOON + 5 * SECOND) is Position.HALF_OPEN


def test_each_look_in_vain_doubles_the_pause() -> None:
    breaker, pauses = opened(), []
    for _ in range(5):
        assert breaker.look_at is not None
        now = breaker.look_at
        breaker = after_trouble(breaker, now=now, rule=RULE)
        assert breaker.look_at is not None
        pauses.append((breaker.look_at - now).total_seconds())
    assert pauses == [10, 20, 30, 30, 30]
    assert breaker.away_since == NOON


def test_what_was_asked_before_and_fails_later_does_not_lengthen_the_pause() -> None:
    late = after_trouble(opened(), now=NOON + 3 * SECOND, rule=RULE)
    assert late.look_at == NOON + 5 * SECOND


def test_a_ca_that_says_when_it_is_back_is_not_asked_before() -> None:
    breaker = CLOSED
    for _ in range(RULE.failures):
        breaker = after_trouble(breaker, now=NOON, rule=RULE, retry_after=timedelta(minutes=2))
    assert breaker.look_at == NOON + timedelta(minutes=2)
    later = after_trouble(breaker, now=NOON + timedelta(minutes=2), rule=RULE, retry_after=timedelta(days=30))
    assert later.look_at == NOON + timedelta(minutes=12)


def test_no_reason_is_both_an_answer_and_a_silence() -> None:
    assert not ANSWERS & TROUBLES


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 120)), max_size=80))
def test_it_is_open_only_after_the_needed_failures_and_never_longer_than_the_longest_pause(
    happened: list[tuple[bool, int]],
) -> None:
    breaker, now, row = CLOSED, NOON, 0
    for failed, seconds in happened:
        now += seconds * SECOND
        breaker = after_trouble(breaker, now=now, rule=RULE) if failed else CLOSED
        row = row + 1 if failed else 0
        assert (breaker.look_at is not None) == (row >= RULE.failures)
        assert position(breaker, now + RULE.longest) is not Position.OPEN

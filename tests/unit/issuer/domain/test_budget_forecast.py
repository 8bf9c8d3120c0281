"""When each of many orders could go."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certcore.ca_limits.asked import AskedCa, BucketKey, NewOrder
from certcore.ca_limits.bucket import Bucket
from certcore.ca_limits.limit import LimitKind
from certcore.ca_limits.play import BudgetState, Forecast, forecast
from issuer.domain.budget_decision import Granted, NotBefore
from tests.unit.issuer.domain.budgets import LE, ask, asked_of, ca
from tests.unit.issuer.domain.test_budget_decision import ASKS, CAS, played
from tests.unit.issuer.samples import NOON

_WINDOW = (NOON, NOON + timedelta(days=900))
_MANY = st.lists(
    st.builds(
        lambda names, urgent, window, again: ask(
            "a-job",
            *names,
            urgent=urgent,
            window=_WINDOW if window else None,
            set_issued_at=NOON - timedelta(days=1) if again else None,
        ),
        st.lists(st.sampled_from(["a.one.org", "b.one.org", "two.org"]), min_size=1, max_size=2, unique=True),
        st.booleans(),
        st.sampled_from([False, False, False, True]),
        st.sampled_from([False, False, False, True]),
    ),
    max_size=30,
)


def of(state: AskedCa, buckets: dict[BucketKey, Bucket] | None = None, **waiting: int) -> BudgetState:
    known = {BucketKey("le", LimitKind(kind)): number for kind, number in waiting.items()}
    return BudgetState(cas={"le": state}, buckets=buckets or {}, waiting=known)


def at(found: list[Forecast]) -> list[timedelta]:
    return [one.at - NOON for one in found]


@pytest.mark.hypothesis
@given(CAS, ASKS, _MANY)
def test_at_the_time_that_is_foretold_each_is_granted(
    state: AskedCa, before: list[tuple[float, tuple[str, ...]]], asks: list[NewOrder]
) -> None:
    buckets, now = played(state, before)
    found = forecast(of(state, dict(buckets)), asks, now)
    assert len(found) == len(asks)
    # At one moment, those that nothing can refuse come last: they may be counted above a limit.
    turns = sorted(zip(found, asks, strict=True), key=lambda pair: (pair[0].at, pair[1].window is not None))
    for one, asked in turns:
        decision = asked_of(state, buckets, asked, one.at)
        assert isinstance(decision.answer, Granted)
        buckets |= decision.changed
        assert (one.limit is None) == (one.at == now)


@pytest.mark.hypothesis
@given(CAS, ASKS, st.sampled_from([("a.one.org",), ("two.org", "b.one.org")]))
def test_a_single_one_is_foretold_what_it_would_be_told(
    state: AskedCa, before: list[tuple[float, tuple[str, ...]]], names: tuple[str, ...]
) -> None:
    buckets, now = played(state, before)
    asked = ask("a-job", *names)
    answer = asked_of(state, buckets, asked, now).answer
    expected: tuple[datetime, LimitKind | None] = (now, None)
    if isinstance(answer, NotBefore):
        expected = answer.at, answer.limit
    (found,) = forecast(of(state, dict(buckets)), [asked], now)
    assert found.at == expected[0]


def test_a_campaign_takes_what_there_is_and_then_one_after_the_other() -> None:
    asks = [ask(f"job-{number}", f"a.domain{number}.org") for number in range(275)]
    found = forecast(of(LE), asks, NOON)
    assert at(found[:270]) == [timedelta()] * 270
    assert at(found[270:]) == [timedelta(seconds=40 * number) for number in range(1, 6)]
    assert found[-1].limit is LimitKind.NEW_ORDERS


def test_one_that_waits_for_its_domain_holds_nobody_else_up() -> None:
    state = ca(1.0, new_orders={"count": 60, "period": 3600}, certificates_per_domain={"count": 1, "period": 86400})
    asks = [ask("a", "a.one.org"), ask("b", "b.one.org"), ask("c", "a.two.org")]
    found = forecast(of(state), asks, NOON)
    assert at(found) == [timedelta(), timedelta(days=1), timedelta()]
    assert found[1].limit is LimitKind.CERTIFICATES_PER_DOMAIN


def test_urgent_ones_go_first_and_exempt_ones_at_once() -> None:
    state = ca(1.0, new_orders={"count": 1, "period": 3600})
    asks = [ask("a"), ask("b", "b.example.org", urgent=True), ask("c", "c.example.org", window=_WINDOW)]
    assert at(forecast(of(state), asks, NOON)) == [timedelta(hours=1), timedelta(), timedelta()]


def test_those_that_wait_already_go_first() -> None:
    state = ca(1.0, new_orders={"count": 1, "period": 3600})
    assert at(forecast(of(state, new_orders=3), [ask()], NOON)) == [timedelta(hours=3)]

"""One is taken of all limits or of none."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certcore.ca_limits.asked import AskedCa, BucketKey, NewOrder, charges
from certcore.ca_limits.bucket import FULL, Bucket, taught
from certcore.ca_limits.limit import LimitKind
from issuer.domain.budget_decision import Granted, NotBefore, decide
from tests.budgets.simulated_ca import Tokens
from tests.unit.issuer.domain.budgets import GAPS, LIMITS, ask, asked_of, ca, seconds
from tests.unit.issuer.samples import NOON

_TICK = timedelta(microseconds=1)
_HOUR = timedelta(hours=1)
_NAMES = st.lists(
    st.sampled_from(["a.one.org", "b.one.org", "a.two.org", "three.org"]), min_size=1, max_size=3, unique=True
).map(tuple)
CAS = st.builds(
    # What is a renewal stays one, however long it has to wait.
    lambda share, **limits: ca(
        share, renewal_memory=timedelta(days=1000), **{key: one for key, one in limits.items() if one}
    ),
    share=st.sampled_from([1.0, 0.9, 0.4]),
    new_orders=st.none() | LIMITS,
    certificates_per_domain=st.none() | LIMITS,
    certificates_per_set=st.none() | LIMITS,
    failures=st.none() | LIMITS,
)
ASKS = st.lists(st.tuples(GAPS, _NAMES), max_size=30)


def played(of: AskedCa, asks: list[tuple[float, tuple[str, ...]]]) -> tuple[dict[BucketKey, Bucket], datetime]:
    buckets, now = dict[BucketKey, Bucket](), NOON
    for gap, names in asks:
        now += seconds(gap)
        buckets |= asked_of(of, buckets, ask("a-job", *names), now).changed
    return buckets, now


@pytest.mark.hypothesis
@given(CAS, ASKS)
def test_no_limit_is_ever_above_what_the_ca_counts(of: AskedCa, asks: list[tuple[float, tuple[str, ...]]]) -> None:
    buckets, now, at_ca = dict[BucketKey, Bucket](), NOON, dict[BucketKey, Tokens]()
    for gap, names in asks:
        now += seconds(gap)
        asked = ask("a-job", *names)
        decision = asked_of(of, buckets, asked, now)
        buckets |= decision.changed
        if isinstance(decision.answer, Granted):
            for key in decision.changed:
                limit = of.budget.limit(key.kind)
                assert limit is not None
                whole = Tokens.of(limit.burst or limit.count, limit.period.total_seconds(), count=limit.count)
                assert at_ca.setdefault(key, whole).take((now - NOON).total_seconds())


@pytest.mark.hypothesis
@given(CAS, ASKS, _NAMES)
def test_the_time_that_is_told_is_enough_and_not_later_than_needed(
    of: AskedCa, asks: list[tuple[float, tuple[str, ...]]], names: tuple[str, ...]
) -> None:
    buckets, now = played(of, asks)
    asked = ask("a-job", *names)
    answer = asked_of(of, buckets, asked, now).answer
    if isinstance(answer, NotBefore):
        assert answer.at > now
        assert isinstance(asked_of(of, buckets, asked, answer.at).answer, Granted)
        assert isinstance(asked_of(of, buckets, asked, answer.at - _TICK).answer, NotBefore)


@pytest.mark.hypothesis
@given(CAS, ASKS, _NAMES)
def test_who_is_refused_takes_nothing(
    of: AskedCa, asks: list[tuple[float, tuple[str, ...]]], names: tuple[str, ...]
) -> None:
    buckets, now = played(of, asks)
    decision = asked_of(of, buckets, ask("a-job", *names), now)
    assert not (isinstance(decision.answer, NotBefore) and decision.changed)


def test_the_limit_that_has_nothing_for_the_longest_time_is_told() -> None:
    of = ca(1.0, new_orders={"count": 1, "period": 60}, certificates_per_domain={"count": 1, "period": 3600})
    buckets, _ = played(of, [(0, ("a.one.org",))])
    answer = asked_of(of, buckets, ask("a-job", "b.one.org")).answer
    assert isinstance(answer, NotBefore)
    assert (answer.at, answer.limit) == (NOON + _HOUR, LimitKind.CERTIFICATES_PER_DOMAIN)
    assert answer.reason == "no certificates for one.org are left of the CA's limit"
    other = asked_of(of, buckets, ask("a-job", "a.two.org")).answer
    assert isinstance(other, NotBefore)
    assert other.limit is LimitKind.NEW_ORDERS


def _paid(asked: NewOrder, of: AskedCa, at: datetime) -> dict[BucketKey, datetime]:
    return {one.key: at for one in charges(asked, of, NOON) if one.at_issuance}


def test_another_order_for_the_same_certificate_takes_only_what_was_refilled_since() -> None:
    of = ca(1.0, certificates_per_set={"count": 2, "period": 7200})
    asked = ask()
    buckets, _ = played(of, [(0, asked.dns_names), (0, asked.dns_names)])
    paid = _paid(asked, of, NOON)
    at_once = decide(charges(asked, of, NOON), buckets, now=NOON, paid=paid)
    assert isinstance(at_once.answer, Granted)
    assert at_once.changed == buckets
    later = NOON + _HOUR / 2
    again = decide(charges(asked, of, later), buckets, now=later, paid=paid)
    assert [one.full_at for one in again.changed.values()] == [NOON + 2.5 * _HOUR]


def test_what_was_paid_before_the_ca_refused_is_paid_again() -> None:
    of = ca(1.0, certificates_per_set={"count": 2, "period": 7200})
    asked = ask()
    (charge,) = (one for one in charges(asked, of, NOON) if one.at_issuance)
    held = {charge.key: taught(FULL, charge.pace, NOON, retry_at=NOON + _HOUR, sent_at=NOON)}
    answer = decide(charges(asked, of, NOON), held, now=NOON, paid=_paid(asked, of, NOON - _HOUR)).answer
    assert isinstance(answer, NotBefore)
    assert answer.at == NOON + _HOUR

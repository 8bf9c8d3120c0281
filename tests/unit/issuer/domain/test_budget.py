"""Limits as data."""

from datetime import timedelta

import pytest
from pydantic import ValidationError

from certcore.ca_limits.limit import BudgetSettings, Limit, LimitKind, default_budget, pace_of


def test_the_documented_numbers_of_lets_encrypt_are_the_default_there_and_nothing_elsewhere() -> None:
    known = default_budget("https://acme-v02.api.letsencrypt.org/directory")
    assert known.limit(LimitKind.NEW_ORDERS) == Limit(count=300, period=timedelta(hours=3))
    assert known.limit(LimitKind.CERTIFICATES_PER_DOMAIN) == Limit(count=50, period=timedelta(days=7))
    assert known.limit(LimitKind.CERTIFICATES_PER_SET) == Limit(count=5, period=timedelta(days=7))
    assert known.limit(LimitKind.FAILURES) == Limit(count=5, period=timedelta(hours=1))
    staging = default_budget("https://acme-staging-v02.api.letsencrypt.org/directory")
    assert staging.limit(LimitKind.NEW_ORDERS) == Limit(count=1500, period=timedelta(hours=3))
    private = default_budget("https://ca.intern.example.org/acme/directory")
    assert all(private.limit(kind) is None for kind in LimitKind)


def test_the_refills_are_those_that_it_documents() -> None:
    known = default_budget("https://acme-v02.api.letsencrypt.org/directory")

    def every(kind: LimitKind) -> timedelta:
        limit = known.limit(kind)
        assert limit is not None
        return pace_of(limit, 1.0).every

    assert every(LimitKind.NEW_ORDERS) == timedelta(seconds=36)
    assert round(every(LimitKind.CERTIFICATES_PER_DOMAIN) / timedelta(minutes=1)) == 202
    assert round(every(LimitKind.CERTIFICATES_PER_SET) / timedelta(hours=1)) == 34
    assert every(LimitKind.FAILURES) == timedelta(minutes=12)
    assert every(LimitKind.FAILURES_IN_A_ROW) == timedelta(days=1)
    assert every(LimitKind.NEW_ACCOUNTS) == timedelta(minutes=18)


def test_an_override_goes_before_the_preset() -> None:
    raised = BudgetSettings.model_validate({"preset": "letsencrypt", "new_orders": {"count": 3000, "period": "PT3H"}})
    assert raised.limit(LimitKind.NEW_ORDERS) == Limit(count=3000, period=timedelta(hours=3))
    assert raised.limit(LimitKind.CERTIFICATES_PER_SET) == Limit(count=5, period=timedelta(days=7))


@pytest.mark.parametrize(
    "wrong",
    [
        {"preset": "letsencrpyt"},
        {"share": 0},
        {"share": 1.1},
        {"neworders": {"count": 1, "period": 1}},
        {"new_orders": {"count": 0, "period": 1}},
        {"new_orders": {"count": 1, "period": 0}},
        {"renewal_memory": "-P1D"},
    ],
)
def test_what_cannot_be_meant_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        BudgetSettings.model_validate(wrong)


def test_the_share_holds_for_the_burst_and_for_the_refill_and_one_is_always_left() -> None:
    whole = Limit(count=300, period=timedelta(hours=3))
    assert pace_of(whole, 0.9).burst == 270
    assert pace_of(whole, 0.9).every == timedelta(seconds=40)
    assert pace_of(Limit(count=1, period=timedelta(days=1)), 0.5).burst == 1

from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry

from certcore.tokens import TokenKind
from registry.domain.access import Principal
from registry.domain.budget import Kind, Rate
from registry.domain.errors import TooManyError
from registry.handlers.http.limits import Limits

ANA = Principal("ana", "shop", frozenset())
SYNCER = Principal("ana", "shop", frozenset(), kind=TokenKind.SERVICE)


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def limits(metrics: CollectorRegistry | None = None, *, most: int = 100, clock: Clock | None = None) -> Limits:
    rates = {kind: Rate(1.0, 2.0) for kind in Kind}
    return Limits(rates, metrics=metrics or CollectorRegistry(), now_s=clock or Clock(), most=most)


def write(made: Limits, caller: Principal = ANA) -> None:
    made.spend(caller, method="POST", route="/v1/requests")


def test_a_caller_over_the_budget_is_told_when_to_come_again() -> None:
    clock, metrics = Clock(), CollectorRegistry()
    made = limits(metrics, clock=clock)
    write(made)
    write(made)
    clock.now_s = 0.25
    with pytest.raises(TooManyError) as refused:
        write(made)
    assert refused.value.retry_after == timedelta(seconds=0.75)
    assert metrics.get_sample_value("certbus_limited_requests_total", {"kind": "write"}) == 1
    clock.now_s = 1.0
    write(made)


def test_budgets_are_apart_by_caller_and_by_kind() -> None:
    made = limits()
    write(made)
    write(made)
    others = (
        Principal("ben", "shop", frozenset()),
        Principal("ana", "shop", frozenset(), issuer="https://login.example.org"),
        SYNCER,
    )
    for caller in others:
        write(made, caller)
    made.spend(ANA, method="GET", route="/v1/certificates")
    made.spend(ANA, method="GET", route="/v1/certificates/{name}")
    made.failed("192.0.2.1")
    with pytest.raises(TooManyError):
        write(made)


def test_each_open_page_has_a_budget_of_its_own() -> None:
    made = limits()
    for page in ("one", "one", "two", "two"):
        write(made, Principal("page", "page", frozenset(), kind=TokenKind.SESSION, token_id=page))
    with pytest.raises(TooManyError):
        write(made, Principal("page", "page", frozenset(), kind=TokenKind.SESSION, token_id="one"))


def test_failed_logins_are_counted_by_address() -> None:
    made = limits()
    for _ in range(2):
        made.failed("192.0.2.1")
    with pytest.raises(TooManyError):
        made.failed("192.0.2.1")
    made.failed("192.0.2.2")
    write(made)


def test_of_too_many_callers_the_longest_away_is_forgotten() -> None:
    made = limits(most=2)
    for name in ("ana", "ben"):
        write(made, Principal(name, "shop", frozenset()))
        write(made, Principal(name, "shop", frozenset()))
    write(made, Principal("eve", "shop", frozenset()))
    write(made)
    write(made)
    with pytest.raises(TooManyError):
        write(made)

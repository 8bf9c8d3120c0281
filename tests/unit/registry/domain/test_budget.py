from hypothesis import given
from hypothesis import strategies as st

from certcore.tokens import TokenKind
from registry.domain.budget import Bucket, Kind, Rate, kind_of, take

RATE = Rate(per_s=2.0, burst=3.0)


def test_a_burst_is_let_through_and_then_one_waits_for_the_next() -> None:
    bucket, waits = None, []
    for _ in range(4):
        bucket, wait_s = take(bucket, RATE, now_s=10.0)
        waits.append(wait_s)
    assert waits == [0.0, 0.0, 0.0, 0.5]
    assert take(bucket, RATE, now_s=10.25)[1] == 0.25
    assert take(bucket, RATE, now_s=10.5)[1] == 0.0


def test_a_pause_fills_it_no_further_than_a_burst() -> None:
    bucket, _ = take(Bucket(0.0, 0.0), RATE, now_s=1000.0)
    assert bucket.left == 2.0


@given(st.lists(st.floats(0, 1), max_size=100))
def test_no_more_passes_than_a_burst_and_what_was_refilled(pauses: list[float]) -> None:
    bucket, now_s, passed = None, 0.0, 0
    for pause_s in pauses:
        now_s += pause_s
        bucket, wait_s = take(bucket, RATE, now_s=now_s)
        passed += wait_s == 0
    assert passed <= RATE.burst + RATE.per_s * now_s + 1e-6


@given(st.lists(st.floats(0, 1), max_size=100))
def test_who_waits_as_told_is_let_through(pauses: list[float]) -> None:
    bucket, now_s = None, 0.0
    for pause_s in pauses:
        now_s += pause_s
        bucket, wait_s = take(bucket, RATE, now_s=now_s)
        assert take(bucket, RATE, now_s=now_s + wait_s + 1e-6)[1] == 0 or wait_s == 0


def test_services_never_spend_a_person_s_budget() -> None:
    for method in ("GET", "POST", "PUT"):
        assert kind_of(TokenKind.SERVICE, method=method, route="/v1/orders") is Kind.SERVICE
    assert kind_of(TokenKind.PERSON, method="GET", route="/v1/certificates") is Kind.LIST
    assert kind_of(TokenKind.PERSON, method="GET", route="/v1/certificates/{name}") is Kind.READ
    assert kind_of(TokenKind.WORKLOAD, method="POST", route="/v1/requests") is Kind.WRITE

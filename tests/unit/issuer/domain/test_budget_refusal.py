"""What refusals say, in the words of boulder's sources and of reports of its users."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certcore.ca_limits.asked import AskedCa, charges, set_name
from certcore.ca_limits.limit import BudgetSettings, LimitKind
from issuer.domain.budget_refusal import Lesson, meant, read_refusal
from issuer.domain.errors import Subproblem
from tests.unit.issuer.domain.budgets import LE, ask, refusal
from tests.unit.issuer.samples import NOON

NAMES = ("shop.example.org", "www.example.net")
PRIVATE = AskedCa("private", "https://private.test/directory", BudgetSettings())

_SEE = ": see https://letsencrypt.org/docs/rate-limits/#"
_UNTIL = datetime(2026, 3, 2, 9, 30, 15, tzinfo=UTC)
_RETRY = "retry after 2026-03-02 09:30:15 UTC"


@pytest.mark.parametrize(
    ("detail", "kind", "names"),
    [
        (
            f"too many new orders (300) from this account in the last 3h0m0s, {_RETRY}{_SEE}new-orders-per-account",
            LimitKind.NEW_ORDERS,
            (),
        ),
        (
            (
                f'too many certificates (50) already issued for "example.com" in the last 168h0m0s, {_RETRY}'
                f"{_SEE}new-certificates-per-registered-domain"
            ),
            LimitKind.CERTIFICATES_PER_DOMAIN,
            ("example.com",),
        ),
        (
            (
                "too many certificates (5) already issued for this exact set of identifiers in the last 168h0m0s,"
                f" {_RETRY}{_SEE}new-certificates-per-exact-set-of-identifiers"
            ),
            LimitKind.CERTIFICATES_PER_SET,
            (),
        ),
        (
            (
                f'too many failed authorizations (5) for "*.Shop.example.com" in the last 1h0m0s, {_RETRY}'
                f"{_SEE}authorization-failures-per-identifier-per-account"
            ),
            LimitKind.FAILURES,
            ("shop.example.com",),
        ),
        (
            f"too many new registrations (10) from this IP address in the last 3h0m0s, {_RETRY}",
            LimitKind.NEW_ACCOUNTS,
            (),
        ),
        (
            (
                'Error creating new order :: too many certificates already issued for "sslip.io".'
                " Retry after 2026-03-02T09:30:15Z: see https://letsencrypt.org/docs/rate-limits/"
            ),
            LimitKind.CERTIFICATES_PER_DOMAIN,
            ("sslip.io",),
        ),
        (
            "The service is busy; retry after 2026-03-02 09:30:15 UTC",
            None,
            (),
        ),
    ],
)
def test_the_limit_the_name_and_the_time_are_found(
    detail: str, kind: LimitKind | None, names: tuple[str, ...]
) -> None:
    assert read_refusal(refusal(detail), now=NOON) == Lesson(kind, names, _UNTIL)


def test_older_words_without_a_time_are_understood() -> None:
    domain = (
        "Error creating new cert :: too many certificates already issued for: azure.com: see https://letsencrypt.org/"
    )
    exact = "too many certificates already issued for exact set of domains: www.example.com: see https://example.com"
    assert read_refusal(refusal(domain), now=NOON).names == ("azure.com",)
    assert read_refusal(refusal(exact), now=NOON).kind is LimitKind.CERTIFICATES_PER_SET
    assert read_refusal(refusal(domain), now=NOON).retry_at is None


def test_a_paused_name_is_held_back_for_a_day() -> None:
    detail = (
        "Your account is temporarily prevented from requesting certificates for a.example.org, b.example.org and"
        " possibly others. Please visit: https://portal.example.org/sfe/v1/unpause?jwt=secret"
    )
    lesson = read_refusal(refusal(detail), now=NOON)
    assert lesson == Lesson(LimitKind.FAILURES_IN_A_ROW, ("a.example.org", "b.example.org"), NOON + timedelta(days=1))


def test_retry_after_goes_before_the_date_in_the_text() -> None:
    lesson = read_refusal(refusal(f"too many new orders, {_RETRY}", timedelta(minutes=3)), now=NOON)
    assert lesson.retry_at == NOON + timedelta(minutes=3)


def held(detail: str, *subproblems: Subproblem, of: AskedCa | None = None) -> set[str]:
    lesson = read_refusal(refusal(detail, timedelta(minutes=1), *subproblems), now=NOON)
    return {str(one.key) for one in meant(charges(ask("a-job", *NAMES), of or PRIVATE, NOON), lesson)}


def test_what_a_ca_of_unknown_limits_names_is_held_back_and_nothing_else() -> None:
    assert held('too many certificates (50) already issued for "example.org" in the last 168h0m0s') == {
        "certificates_per_domain of example.org"
    }
    assert held("too many failed authorizations (5) for shop.example.org") == {"failures of shop.example.org"}
    assert held("slow down with example.org") == {"told_to_wait of example.org"}
    assert held("too many new orders (300) from this account, see letsencrypt.org") == {"new_orders of private"}
    assert held("slow down, see letsencrypt.org") == {"told_to_wait of private"}
    exact = 'too many certificates (5) already issued for this exact set of identifiers: "shop.example.org"'
    assert held(exact) == {f"certificates_per_set of {set_name(NAMES)}"}


def test_the_names_may_be_told_in_the_subproblems() -> None:
    told = Subproblem("www.example.net", "rateLimited", "50 certificates")
    assert held("too many", told) == {"told_to_wait of example.net"}
    assert held("too many certificates", told, of=LE) == {"certificates_per_domain of example.net"}


@pytest.mark.hypothesis
@given(
    st.text()
    | st.from_regex(r"too many (certificates|new orders|failed authorizations).{0,80}for .{0,40}retry after.{0,30}"),
    st.none() | st.timedeltas(),
)
def test_whatever_it_says_a_time_is_to_come_and_somebody_is_held_back(
    detail: str, retry_after: timedelta | None
) -> None:
    lesson = read_refusal(refusal(detail, retry_after), now=NOON)
    if retry_after is not None:
        assert lesson.retry_at is not None
    assert lesson.retry_at is None or NOON < lesson.retry_at <= NOON + timedelta(days=30)
    for of in (LE, PRIVATE):
        assert meant(charges(ask("a-job", *NAMES), of, NOON), lesson)

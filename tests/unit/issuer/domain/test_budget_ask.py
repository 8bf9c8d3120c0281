"""Which limits an order counts against, and which a renewal is exempt from."""

from datetime import timedelta

from certcore.ca_limits.asked import AskedCa, Mode, NewAccount, charges, set_name
from certcore.ca_limits.limit import HOLD, BudgetSettings, LimitKind
from tests.unit.issuer.domain.budgets import DIRECTORY, LE, ask
from tests.unit.issuer.samples import NOON

_WEEK = timedelta(days=7)
_INSIDE = (NOON - _WEEK, NOON + _WEEK)


def counted(*dns_names: str, **fields: object) -> set[tuple[LimitKind, str, Mode]]:
    found = charges(ask("a-job", *dns_names, **fields), LE, NOON)
    return {(one.key.kind, one.key.name, one.mode) for one in found if one.key.kind is not LimitKind.TOLD_TO_WAIT}


def test_a_new_one_counts_against_account_domains_and_set_and_looks_at_the_failures_of_each_name() -> None:
    names = ("a.example.org", "*.b.example.org", "c.example.co.uk")
    assert counted(*names) == {
        (LimitKind.NEW_ORDERS, "", Mode.TAKE),
        (LimitKind.CERTIFICATES_PER_DOMAIN, "example.org", Mode.TAKE),
        (LimitKind.CERTIFICATES_PER_DOMAIN, "example.co.uk", Mode.TAKE),
        (LimitKind.CERTIFICATES_PER_SET, set_name(names), Mode.TAKE),
        *(
            (kind, name, Mode.LOOK)
            for kind in (LimitKind.FAILURES, LimitKind.FAILURES_IN_A_ROW)
            for name in ("a.example.org", "b.example.org", "c.example.co.uk")
        ),
    }


def test_a_renewal_inside_its_window_is_refused_for_nothing_but_a_paused_name_and_still_counted() -> None:
    assert {(kind, mode) for kind, _, mode in counted(window=_INSIDE)} == {
        (LimitKind.CERTIFICATES_PER_DOMAIN, Mode.COUNT),
        (LimitKind.CERTIFICATES_PER_SET, Mode.COUNT),
        (LimitKind.FAILURES_IN_A_ROW, Mode.LOOK),
    }


def test_the_window_begins_with_its_first_and_ends_before_its_last_moment() -> None:
    new = counted()
    assert counted(window=(NOON, NOON + _WEEK)) != new
    assert counted(window=(NOON - _WEEK, NOON)) == new
    assert counted(window=(NOON + timedelta(seconds=1), NOON + _WEEK)) == new


def test_a_renewal_of_the_same_set_counts_against_neither_account_nor_domain() -> None:
    assert {(kind, mode) for kind, _, mode in counted(set_issued_at=NOON - _WEEK)} == {
        (LimitKind.CERTIFICATES_PER_SET, Mode.TAKE),
        (LimitKind.FAILURES, Mode.LOOK),
        (LimitKind.FAILURES_IN_A_ROW, Mode.LOOK),
    }


def test_a_set_that_was_issued_long_ago_is_new_again() -> None:
    assert counted(set_issued_at=NOON - timedelta(days=120)) == counted()
    assert counted(set_issued_at=NOON - timedelta(days=119)) != counted()


def test_a_set_is_the_same_in_any_order_and_case() -> None:
    assert set_name(("a.example.org", "b.example.org")) == set_name(("B.example.org", "a.example.org"))
    assert set_name(("a.example.org",)) != set_name(("a.example.org", "b.example.org"))


def test_domains_and_sets_are_counted_for_all_accounts_of_a_directory() -> None:
    other = AskedCa("another-account", DIRECTORY, LE.budget)

    def keys(ca: AskedCa) -> set[object]:
        return {one.key for one in charges(ask(), ca, NOON)}

    assert {key.kind for key in keys(LE) & keys(other)} == {  # type: ignore[attr-defined]
        LimitKind.CERTIFICATES_PER_DOMAIN,
        LimitKind.CERTIFICATES_PER_SET,
    }


def test_of_a_ca_without_limits_nothing_is_counted_and_its_lessons_hold_for_renewals_too() -> None:
    private = AskedCa("step", "https://step.test", BudgetSettings())
    found = charges(ask(window=_INSIDE, set_issued_at=NOON - _WEEK), private, NOON)
    assert {one.key.kind for one in found} == {*LimitKind} - {LimitKind.NEW_ACCOUNTS}
    assert {(one.pace, one.mode, one.at_issuance) for one in found} == {(HOLD, Mode.LOOK, False)}


def test_a_new_account_counts_against_accounts_only() -> None:
    assert [one.key.kind for one in charges(NewAccount("le", "1"), LE, NOON)] == [
        LimitKind.TOLD_TO_WAIT,
        LimitKind.NEW_ACCOUNTS,
    ]

from dataclasses import replace

import pytest

from certcore.events import FailureCode, MustAct
from issuer.domain.errors import AcmeProblemError, Subproblem
from issuer.domain.failure import (
    ACME_TYPES,
    REPORTED_AS,
    WAITS,
    FailureReason,
    reason_of_invalid,
    reason_of_problem,
    reported_as,
    told,
)

RFC_8555 = {
    "accountDoesNotExist": FailureReason.ACCOUNT_REFUSED,
    "alreadyRevoked": FailureReason.CA_REFUSED,
    "badCSR": FailureReason.CA_REFUSED,
    "badNonce": FailureReason.CA_UNCLEAR,
    "badPublicKey": FailureReason.CA_REFUSED,
    "badRevocationReason": FailureReason.CA_REFUSED,
    "badSignatureAlgorithm": FailureReason.CA_REFUSED,
    "caa": FailureReason.CAA_FORBIDS,
    "compound": FailureReason.CA_REFUSED,
    "connection": FailureReason.NAME_UNREACHABLE,
    "dns": FailureReason.NAME_NOT_PROVEN,
    "externalAccountRequired": FailureReason.ACCOUNT_REFUSED,
    "incorrectResponse": FailureReason.NAME_NOT_PROVEN,
    "invalidContact": FailureReason.ACCOUNT_REFUSED,
    "malformed": FailureReason.CA_REFUSED,
    "orderNotReady": FailureReason.CA_UNCLEAR,
    "rateLimited": FailureReason.RATE_LIMITED,
    "rejectedIdentifier": FailureReason.NAME_REJECTED,
    "serverInternal": FailureReason.CA_TROUBLE,
    "tls": FailureReason.NAME_UNREACHABLE,
    "unauthorized": FailureReason.CA_REFUSED,
    "unsupportedContact": FailureReason.ACCOUNT_REFUSED,
    "unsupportedIdentifier": FailureReason.NAME_REJECTED,
    "userActionRequired": FailureReason.ACCOUNT_REFUSED,
}
LATER = {"alreadyReplaced": FailureReason.CA_REFUSED, "invalidProfile": FailureReason.CA_REFUSED}


def problem(type_: str, status: int = 400, *subproblems: Subproblem) -> AcmeProblemError:
    return AcmeProblemError(type=type_, status=status, detail="a detail", subproblems=subproblems)


def test_every_reason_is_reported_under_a_code_and_says_who_must_act() -> None:
    assert set(REPORTED_AS) == set(FailureReason)


def test_every_code_of_the_contract_is_used() -> None:
    assert {reported.code for reported in REPORTED_AS.values()} == set(FailureCode)


def test_nobody_must_act_where_waiting_is_enough() -> None:
    waiting = {reason for reason, reported in REPORTED_AS.items() if reported.must_act is MustAct.NOBODY}
    assert waiting == {
        FailureReason.CA_UNREACHABLE,
        FailureReason.CA_TROUBLE,
        FailureReason.CA_UNCLEAR,
        FailureReason.RATE_LIMITED,
        FailureReason.ORDER_DENIED,
        FailureReason.ORDER_LOST,
        FailureReason.ORDER_UNANSWERED,
        FailureReason.ORDER_STALLED,
        FailureReason.REGISTRY_UNREACHABLE,
        *WAITS - {FailureReason.NOT_PROPAGATED},
    }


@pytest.mark.parametrize("reason", FailureReason)
def test_what_was_given_up_always_needs_somebody(reason: FailureReason) -> None:
    given_up = reported_as(reason, given_up=True)
    assert given_up.must_act is not MustAct.NOBODY
    assert given_up.code is REPORTED_AS[reason].code
    assert reported_as(reason, given_up=False) is REPORTED_AS[reason]


@pytest.mark.parametrize(("type_", "reason"), {**RFC_8555, **LATER}.items())
def test_each_type_of_problem_has_its_reason(type_: str, reason: FailureReason) -> None:
    assert reason_of_problem(problem(type_)) is reason


def test_all_types_of_rfc_8555_are_known() -> None:
    assert {*RFC_8555, *LATER} == ACME_TYPES


@pytest.mark.parametrize(
    ("type_", "must_act"),
    [
        ("caa", MustAct.DNS_OWNER),
        ("dns", MustAct.DNS_OWNER),
        ("incorrectResponse", MustAct.DNS_OWNER),
        ("connection", MustAct.REQUESTER),
        ("tls", MustAct.REQUESTER),
        ("rejectedIdentifier", MustAct.REQUESTER),
        ("rateLimited", MustAct.NOBODY),
        ("serverInternal", MustAct.NOBODY),
        ("externalAccountRequired", MustAct.OPERATOR),
        ("accountDoesNotExist", MustAct.OPERATOR),
        ("userActionRequired", MustAct.OPERATOR),
        ("badCSR", MustAct.OPERATOR),
        ("aWordOfTomorrow", MustAct.OPERATOR),
    ],
)
def test_whoever_can_mend_it_must_act(type_: str, must_act: MustAct) -> None:
    assert reported_as(reason_of_problem(problem(type_)), given_up=False).must_act is must_act


@pytest.mark.parametrize(
    ("type_", "status", "reason"),
    [
        ("", 429, FailureReason.RATE_LIMITED),
        ("malformed", 429, FailureReason.RATE_LIMITED),
        ("", 503, FailureReason.CA_TROUBLE),
        ("malformed", 500, FailureReason.CA_TROUBLE),
        # No problem documents: a page of a proxy is no refusal.
        ("", 403, FailureReason.CA_UNCLEAR),
        ("", 404, FailureReason.CA_UNCLEAR),
        ("malformed", 404, FailureReason.CA_UNCLEAR),
        ("aWordOfTomorrow", 400, FailureReason.CA_REFUSED),
    ],
)
def test_the_status_counts_where_it_says_more(type_: str, status: int, reason: FailureReason) -> None:
    assert reason_of_problem(problem(type_, status)) is reason


def test_a_problem_of_several_names_is_what_its_subproblems_are() -> None:
    inner = Subproblem("a.example.org", "caa", "forbidden")
    for outer in ("compound", "malformed", "unauthorized", "aWordOfTomorrow"):
        assert reason_of_problem(problem(outer, 403, inner)) is FailureReason.CAA_FORBIDS
    assert reason_of_problem(problem("badCSR", 400, inner)) is FailureReason.CA_REFUSED


def test_people_read_which_name_failed_and_why() -> None:
    several = problem(
        "compound",
        403,
        Subproblem("a.example.org", "caa", "forbidden"),
        Subproblem(None, "dns", "no answer"),
    )
    expected = "compound: a detail; a.example.org: caa: forbidden; order: dns: no answer"
    assert told(several) == expected
    assert told(problem("", 502)) == "HTTP 502: a detail"
    assert len(told(problem("compound", 403, *[replace(several.subproblems[0], detail="x" * 99)] * 100))) == 1000


@pytest.mark.parametrize(
    ("types", "reason"),
    [
        ((), FailureReason.ORDER_INVALID),
        (("dns",), FailureReason.ORDER_INVALID),
        (("unauthorized",), FailureReason.ORDER_INVALID),
        (("aWordOfTomorrow",), FailureReason.ORDER_INVALID),
        (("caa",), FailureReason.CAA_FORBIDS),
        (("unauthorized", "caa"), FailureReason.CAA_FORBIDS),
        (("connection",), FailureReason.NAME_UNREACHABLE),
        (("rejectedIdentifier",), FailureReason.NAME_REJECTED),
        (("badCSR",), FailureReason.CA_REFUSED),
        (("serverInternal",), FailureReason.CA_TROUBLE),
    ],
)
def test_an_invalid_order_says_why(types: tuple[str, ...], reason: FailureReason) -> None:
    assert reason_of_invalid(types) is reason

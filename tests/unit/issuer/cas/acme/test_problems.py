from datetime import timedelta
from typing import Any

import pytest

from issuer.cas.acme.problems import problem_of
from issuer.domain.errors import Subproblem
from tests.unit.issuer.cas.acme.answers import an_answer

ACME = "urn:ietf:params:acme:error:"


def test_type_detail_subproblems_and_time_are_kept() -> None:
    inner = {"type": f"{ACME}caa", "detail": "no", "identifier": {"type": "dns", "value": "b.example.org"}}
    body = {"type": f"{ACME}rejectedIdentifier", "detail": "some", "subproblems": [inner]}
    problem = problem_of(an_answer(body, status=403, retry_after="60"))
    assert (problem.type, problem.status, problem.detail) == ("rejectedIdentifier", 403, "some")
    assert problem.retry_after == timedelta(minutes=1)
    assert problem.subproblems == (Subproblem("b.example.org", "caa", "no"),)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"<html>not found</html>",
        b"\xff\xfe",
        b"[]",
        b"null",
        b'"text"',
        b"{}",
        b'{"error": "not found"}',
        b'{"type": 5}',
        b'{"type": "about:blank", "detail": "Not Found"}',
        b'{"type": "https://gateway.test/errors/denied", "detail": "go away"}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_acme_problem_has_no_type(raw: bytes) -> None:
    assert problem_of(an_answer(raw=raw, status=404)).type == ""


def test_a_foreign_type_is_shown_to_people() -> None:
    raw = b'{"type": "https://gateway.test/errors/denied", "detail": "go away"}'
    assert str(problem_of(an_answer(raw=raw, status=403))) == "HTTP 403: https://gateway.test/errors/denied: go away"


@pytest.mark.parametrize(
    "more",
    [
        {"subproblems": "none"},
        {"subproblems": [5]},
        {"identifier": "a.example.org"},
        {"subproblems": [{"detail": None}]},
    ],
)
def test_a_part_of_the_cas_own_form_does_not_hide_the_type(more: dict[str, Any]) -> None:
    problem = problem_of(an_answer({"type": f"{ACME}rateLimited", "detail": "slow down", **more}, status=429))
    assert (problem.type, problem.detail) == ("rateLimited", "slow down")


def test_what_a_ca_says_can_not_forge_lines_of_a_log_and_has_an_end() -> None:
    problem = problem_of(an_answer({"type": f"{ACME}malformed", "detail": "a\nb\x1b[31m" + "x" * 5000}, status=400))
    assert problem.detail.startswith("a b [31mxx")
    assert len(problem.detail) == 300

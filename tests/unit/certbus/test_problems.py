import pytest
from hypothesis import given
from hypothesis import strategies as st

from certbus.exit_codes import MEANING, ExitCode
from certbus.problems import exit_code_of, refusal
from certcore.api import Problem
from certcore.rejection import Rejection


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("invalid-request", 422, ExitCode.INVALID),
        ("invalid-request", 409, ExitCode.INVALID),
        ("conflict", 409, ExitCode.INVALID),
        ("not-found", 404, ExitCode.NOT_FOUND),
        ("unauthorized", 401, ExitCode.NOT_ALLOWED),
        ("forbidden", 403, ExitCode.NOT_ALLOWED),
        ("not-approvable", 409, ExitCode.NOT_ALLOWED),
        ("unavailable", 503, ExitCode.UNREACHABLE),
        ("of-a-later-version", 403, ExitCode.NOT_ALLOWED),
    ],
)
def test_each_problem_has_its_exit_code(kind: str, status: int, code: ExitCode) -> None:
    problem = Problem(type=f"/problems/{kind}", title="No", status=status, detail="because")
    error = refusal(status, problem.model_dump_json().encode(), call="GET /v1/requests")
    assert error.exit_code is code
    assert error.message == "because"


def test_every_field_at_fault_gets_a_line() -> None:
    problem = Problem(
        type="/problems/invalid-request",
        title="Invalid",
        status=422,
        detail="name is taken; targets.0.site is unknown",
        errors=(
            Rejection(field="name", message="is taken"),
            Rejection(field="targets.0.site", message="is unknown"),
        ),
    )
    lines = refusal(422, problem.model_dump_json().encode(), call="POST /v1/requests").lines()
    assert lines == ["error: Invalid", "name: is taken", "targets.0.site: is unknown"]


@given(st.integers(300, 599), st.binary())
def test_an_answer_without_a_reason_still_ends_with_a_documented_failure(status: int, body: bytes) -> None:
    error = refusal(status, body, call="GET /v1/sites")
    assert error.exit_code in MEANING
    assert error.exit_code is not ExitCode.OK
    assert str(status) in error.message


@given(st.integers(500, 599), st.text())
def test_a_failing_server_is_never_the_users_fault(status: int, detail: str) -> None:
    assert exit_code_of(status, f"/problems/{detail}x") is ExitCode.UNREACHABLE


def test_the_codes_are_the_documented_ones() -> None:
    assert {code.name: code.value for code in ExitCode} == {
        "OK": 0,
        "FAILED": 1,
        "INVALID": 2,
        "NOT_FOUND": 3,
        "NOT_ALLOWED": 4,
        "WAITING_FOR_APPROVAL": 5,
        "TIMED_OUT": 6,
        "PARTLY_DONE": 7,
        "UNREACHABLE": 8,
    }
    assert set(MEANING) == set(ExitCode)

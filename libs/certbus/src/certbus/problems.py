"""What a refusal of the registry means for the user: its problem documents (RFC 9457) become the command's errors."""

from typing import Final

from pydantic import ValidationError

from certbus.errors import CommandError
from certbus.exit_codes import ExitCode
from certcore.api import Problem

__all__ = ["exit_code_of", "refusal"]

_BY_TYPE: Final = {
    "invalid-request": ExitCode.INVALID,
    "conflict": ExitCode.INVALID,
    "not-found": ExitCode.NOT_FOUND,
    "unauthorized": ExitCode.NOT_ALLOWED,
    "forbidden": ExitCode.NOT_ALLOWED,
    "not-approvable": ExitCode.NOT_ALLOWED,
}
_NEXT_STEP: Final = {
    "unauthorized": "say `certbus login`, or give a token that the registry knows: --token-file or --as NAME",
    "forbidden": "ask with a token that may do this: --token-file or --as NAME",
    "not-approvable": "somebody other than the requester, with the role approver, has to decide: --as NAME",
}


def exit_code_of(status: int, problem_type: str = "") -> ExitCode:
    """The problem's type decides; a status alone where the type is unknown or there is none."""
    if (known := _BY_TYPE.get(problem_type.rsplit("/", 1)[-1])) is not None:
        return known
    match status:
        case 404:
            return ExitCode.NOT_FOUND
        case 401 | 403:
            return ExitCode.NOT_ALLOWED
        case _ if 400 <= status < 500 and status not in {408, 429}:
            return ExitCode.INVALID
        case _:
            return ExitCode.UNREACHABLE


def refusal(status: int, body: bytes, *, call: str) -> CommandError:
    """The error for an answer that is no success; `call` is the method and path that were tried."""
    try:
        problem = Problem.model_validate_json(body)
    except ValidationError:
        return CommandError(
            f"{call} was answered with status {status} and no reason",
            exit_code=exit_code_of(status),
            next_step="is that the URL of a certbus registry?",
        )
    return CommandError(
        problem.title if problem.errors else problem.detail or problem.title,
        exit_code=exit_code_of(status, problem.type),
        next_step=_NEXT_STEP.get(problem.type.rsplit("/", 1)[-1], ""),
        fields=[(error.field, error.message) for error in problem.errors],
    )

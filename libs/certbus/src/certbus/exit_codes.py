"""How the command ends, for scripts: documented in `certbus --help`, and stable."""

from enum import IntEnum
from typing import Final

__all__ = ["MEANING", "ExitCode"]


class ExitCode(IntEnum):
    OK = 0
    FAILED = 1
    INVALID = 2
    NOT_FOUND = 3
    NOT_ALLOWED = 4
    WAITING_FOR_APPROVAL = 5
    TIMED_OUT = 6
    PARTLY_DONE = 7
    UNREACHABLE = 8


MEANING: Final = {
    ExitCode.OK: "ok",
    ExitCode.FAILED: "a check failed, or what was waited for failed for good or is degraded",
    ExitCode.INVALID: "wrong usage or an invalid request; each field at fault is printed",
    ExitCode.NOT_FOUND: "there is no such thing",
    ExitCode.NOT_ALLOWED: "denied, or not allowed with this token",
    ExitCode.WAITING_FOR_APPROVAL: "still waiting for approval when --timeout was over",
    ExitCode.TIMED_OUT: "not done when --timeout was over",
    ExitCode.PARTLY_DONE: "as 6, but some targets or endpoints were proven",
    ExitCode.UNREACHABLE: "the server can't be reached or failed",
}

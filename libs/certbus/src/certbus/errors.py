"""Failures that a user should expect: one line on stderr and an exit code, never a traceback."""

from collections.abc import Sequence

from certbus.exit_codes import ExitCode
from certcore.errors import CertbusError

__all__ = ["CommandError"]


class CommandError(CertbusError):
    """`next_step` tells the user what to do now; `fields` holds (field, message) of what is at fault in the input."""

    def __init__(
        self, message: str, *, exit_code: ExitCode, next_step: str = "", fields: Sequence[tuple[str, str]] = ()
    ) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code
        self.next_step = next_step
        self.fields = tuple(fields)

    def lines(self) -> list[str]:
        """What is printed: the failure and the next step on one line, then a line for each field."""
        first = f"error: {self.message}" + (f"; {self.next_step}" if self.next_step else "")
        return [first, *(f"{field}: {message}" for field, message in self.fields)]

"""Names and ids as parts of a path of the API."""

import re
from typing import Final

from certbus.errors import CommandError
from certbus.exit_codes import ExitCode

__all__ = ["segment"]

_SEGMENT: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


def segment(name: str) -> str:
    """The same, where it leads nowhere else.

    Raises:
        CommandError: it is neither a name nor an id.
    """
    if not _SEGMENT.fullmatch(name):
        raise CommandError(
            f"{name!r} is neither a name nor an id",
            exit_code=ExitCode.INVALID,
            next_step="names hold only letters, digits and hyphens",
        )
    return name

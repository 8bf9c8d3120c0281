"""Exports of the audit in files, and anchors that were kept elsewhere."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from certbus.errors import CommandError
from certbus.exit_codes import ExitCode
from certcore.audit_proof import read_anchors
from certcore.events import RegistryAnchored

__all__ = ["known_anchors", "opened"]


@contextmanager
def opened(file: Path) -> Iterator[Iterable[bytes]]:
    """The lines of a file, or of stdin where it is `-`.

    Raises:
        CommandError: it can't be read.
    """
    try:
        if str(file) == "-":
            yield sys.stdin.buffer
        else:
            with file.open("rb") as content:
                yield content
    except OSError as error:
        raise CommandError(f"{file} can't be read: {error.strerror}", exit_code=ExitCode.INVALID) from None


def known_anchors(files: Iterable[Path]) -> list[RegistryAnchored]:
    """The anchors in these files.

    Raises:
        CommandError: one can't be read, or has none.
    """
    found: list[RegistryAnchored] = []
    for file in files:
        with opened(file) as lines:
            try:
                found += read_anchors(lines)
            except ValueError as error:
                raise CommandError(
                    f"{file} {error}",
                    exit_code=ExitCode.INVALID,
                    next_step="give an export of the audit, or the anchor.json of a registry",
                ) from None
    return found

"""Copies of a database: made while it is written to, looked at, and put in its place again.

A copy is a folder with one file, beside which its maker puts what it wants to tell.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol, TypeVar

from sqlalchemy import Connection, Engine

from certcore.errors import PermanentError

__all__ = ["CopyError", "DatabaseCopies", "Staged", "UnreadableError"]

ResultT = TypeVar("ResultT")


class CopyError(PermanentError):
    """No copy can be made, or this one can't be read or put in place. What is there is as it was."""


class UnreadableError(CopyError):
    """The database that is there can't be read."""


@dataclass(frozen=True)
class Staged:
    """A copy beside the database, which may be changed by its engine.

    `put` has it take the database's place, as a whole or not at all; returns what the one before is called now, None
    where there was none.
    """

    engine: Engine
    put: Callable[[datetime], str | None]


class DatabaseCopies(Protocol):
    """Of one database of one kind."""

    kind: str

    def copy(self, folder: Path, look: Callable[[Connection], ResultT]) -> tuple[Path, ResultT]:
        """Write one state of the database into a folder, synced and for its owner alone, while others write to it.

        Returns the file, and what `look` sees of just that state.

        Raises:
            CopyError: it can't be made.
        """
        ...

    def opened(self, file: Path) -> AbstractContextManager[Engine]:
        """Look at a copy, which is found to be readable as a whole.

        Raises:
            CopyError: it isn't, or there is nothing to read it by.
        """
        ...

    def alone(self) -> AbstractContextManager[None]:
        """Around what nobody may use the database meanwhile.

        Raises:
            InUseError: somebody does.
            CopyError: it can't be found out.
        """
        ...

    def there(self, look: Callable[[Connection], ResultT]) -> ResultT | None:
        """What `look` sees of the database that is there; None where there is none.

        Raises:
            UnreadableError: it can't be read.
        """
        ...

    def staged(self, file: Path) -> AbstractContextManager[Staged]:
        """Bring a copy beside the database; within `alone`. What wasn't put is removed at the end.

        Raises:
            CopyError: it can't be read as a whole, or there is no room or right for it.
        """
        ...

"""Who uses a SQLite database: processes share it, and whoever puts another one in its place has it alone.

A lock of the operating system on a file beside it: it ends with its process, whatever ended that.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import make_url

from certcore.errors import PermanentError

__all__ = ["InUseError", "alone_with", "database_file", "using"]


class InUseError(PermanentError):
    """Somebody uses the database, or puts another one in its place."""


@contextmanager
def using(database_url: str) -> Iterator[None]:
    """Around the use of a database; does nothing where that isn't a file.

    Raises:
        InUseError: another one is being put in its place.
    """
    path = database_file(database_url)
    if path is None or not path.parent.exists():
        # Whoever opens the database tells what is wrong with its folder.
        yield
        return
    with _locked(path, fcntl.LOCK_SH, "a copy is being put in its place"):
        yield


@contextmanager
def alone_with(path: Path) -> Iterator[None]:
    """Around what nobody may use the database meanwhile.

    Raises:
        InUseError: a process uses it.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _locked(path, fcntl.LOCK_EX, "a process uses it, or puts a copy in its place"):
        yield


def database_file(database_url: str) -> Path | None:
    """The file of a SQLite database; None for one of a server, or in memory."""
    url = make_url(database_url)
    if url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:":
        return None
    return Path(url.database)


@contextmanager
def _locked(path: Path, how: int, why: str) -> Iterator[None]:
    descriptor = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, how | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InUseError(f"the database {path} is in use: {why}") from None
        yield
    finally:
        os.close(descriptor)

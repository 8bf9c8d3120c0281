"""Copies of a SQLite database by its online backup: page by page, of one state, beside whoever writes to it."""

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from certkit.database import make_engine
from certkit.database_copies import CopyError, Staged, UnreadableError
from certkit.database_lock import InUseError, alone_with

__all__ = ["SqliteCopies"]

ResultT = TypeVar("ResultT")

_FILE: Final = "database.sqlite"
_PAGES: Final = 1024
"""Between two times that what was copied goes to the disk: a writer's commit waits behind no more than that."""
_LOG: Final = ("-wal", "-shm")


class SqliteCopies:
    kind = "sqlite"

    def __init__(self, path: Path) -> None:
        self._path = path

    def copy(self, folder: Path, look: Callable[[Connection], ResultT]) -> tuple[Path, ResultT]:
        target = folder / _FILE
        if not self._path.exists():
            raise CopyError(f"there is no database {self._path}")
        _make_empty(target)
        try:
            with closing(_connected(self._path)) as source, closing(_connected(target)) as copy:
                source.execute("PRAGMA query_only=ON")
                # The state that is copied: the backup would begin anew whenever others write.
                source.execute("BEGIN")
                source.execute("SELECT count(*) FROM sqlite_master").fetchone()
                copy.execute("PRAGMA journal_mode=OFF")
                copy.execute("PRAGMA synchronous=OFF")
                with target.open("rb+") as file:
                    source.backup(copy, pages=_PAGES, progress=lambda *_: os.fdatasync(file.fileno()))
                    # One file: whoever opens it needs no log beside it.
                    copy.execute("PRAGMA journal_mode=DELETE")
                    os.fsync(file.fileno())
        except (sqlite3.Error, OSError) as error:
            raise CopyError(f"the database {self._path} can't be copied: {_why(error)}") from None
        with self._looking(target) as engine:
            return target, _seen(engine, look)

    @contextmanager
    def opened(self, file: Path) -> Iterator[Engine]:
        if not file.exists():
            raise CopyError(f"there is no {file}")
        try:
            with closing(_connected(file)) as connection:
                connection.execute("PRAGMA query_only=ON")
                found = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
        except sqlite3.Error as error:
            found = _why(error)
        if found != "ok":
            raise CopyError(f"{file} is damaged: {found}")
        with self._looking(file) as engine:
            yield engine

    @contextmanager
    def alone(self) -> Iterator[None]:
        with alone_with(self._path):
            self._end_log()
            yield

    def there(self, look: Callable[[Connection], ResultT]) -> ResultT | None:
        if not self._path.exists():
            return None
        try:
            with self._looking(self._path) as engine:
                return _seen(engine, look)
        except DBAPIError as error:
            raise UnreadableError(f"the database {self._path} can't be read: {error.orig}") from None

    @contextmanager
    def staged(self, file: Path) -> Iterator[Staged]:
        draft = self._path.with_name(f".{self._path.name}.restoring")
        try:
            _remove(draft)
            _make_empty(draft)
            with file.open("rb") as source, draft.open("rb+") as target:
                shutil.copyfileobj(source, target, 1024 * 1024)
                target.flush()
                os.fsync(target.fileno())
            with self.opened(draft):
                pass
            engine = make_engine(f"sqlite:///{draft}", pool_size=1)
            try:
                yield Staged(engine, lambda now: self._put(engine, draft, now))
            finally:
                engine.dispose()
        except OSError as error:
            raise CopyError(f"{file} can't be brought beside the database: {_why(error)}") from None
        finally:
            _remove(draft)

    def _put(self, engine: Engine, draft: Path, now: datetime) -> str | None:
        # With the last connection its log goes into it.
        engine.dispose()
        kept = self._path.with_name(f"{self._path.name}.before-{now:%Y%m%dT%H%M%SZ}")
        found = self._path.exists()
        if found:
            os.link(self._path, kept)
        for suffix in _LOG:
            # Left by one that can't be opened. Beside another database it would be read into that.
            log = self._path.with_name(f"{self._path.name}{suffix}")
            if log.exists():
                log.rename(kept.with_name(f"{kept.name}{suffix}"))
        draft.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return str(kept) if found else None

    def _end_log(self) -> None:
        """Have all of it in one file, which SQLite does for nobody while another has it open."""
        if not self._path.exists():
            return
        try:
            with closing(_connected(self._path)) as connection:
                connection.execute("PRAGMA journal_mode=DELETE")
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise InUseError(f"the database {self._path} is in use: a process has it open") from None
        except sqlite3.DatabaseError:
            # It is damaged, or none at all: that is told by whoever reads it.
            pass

    @staticmethod
    @contextmanager
    def _looking(path: Path) -> Iterator[Engine]:
        engine = make_engine(f"sqlite:///{path}", read_only=True, pool_size=1)
        try:
            yield engine
        finally:
            engine.dispose()


def _seen(engine: Engine, look: Callable[[Connection], ResultT]) -> ResultT:
    with engine.begin() as connection:
        return look(connection)


def _connected(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA busy_timeout=1000")
    return connection


def _remove(path: Path) -> None:
    for suffix in ("", *_LOG):
        path.with_name(f"{path.name}{suffix}").unlink(missing_ok=True)


def _make_empty(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def _why(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)

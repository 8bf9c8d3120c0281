"""Copies of a PostgreSQL database by `pg_dump`: of one snapshot, which its maker looks at too.

A copy is brought into a database of its own, on the same server; then both change their names in one transaction,
which the server refuses while anybody is connected to one of them.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final, TypeVar

from sqlalchemy import URL, Connection, Engine, make_url, text
from sqlalchemy.exc import DBAPIError

from certkit.database import make_engine
from certkit.database_copies import CopyError, Staged, UnreadableError
from certkit.database_lock import InUseError
from certkit.postgresql_programs import PostgresqlPrograms

__all__ = ["PostgresqlCopies"]

ResultT = TypeVar("ResultT")

_FILE: Final = "database.dump"
_MAINTENANCE: Final = "postgres"
_IN_USE: Final = "55006"
_LONGEST: Final = 63
"""Of a name, in bytes; longer ones are cut."""


class PostgresqlCopies:
    kind = "postgresql"

    def __init__(self, url: str) -> None:
        self._url = make_url(url)
        self._name = self._url.database or ""

    def copy(self, folder: Path, look: Callable[[Connection], ResultT]) -> tuple[Path, ResultT]:
        file = folder / _FILE
        with self._engine(self._url) as engine:
            try:
                with engine.begin() as connection:
                    # It waits for the program, however long that takes.
                    connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
                    snapshot = connection.execute(text("SELECT pg_export_snapshot()")).scalar_one()
                    seen = look(connection)
                    file.touch(mode=0o600)
                    arguments = ["--format=custom", "--no-owner", "--no-privileges", f"--snapshot={snapshot}"]
                    _programs(connection).run("pg_dump", engine, [*arguments, f"--file={file}"])
            except DBAPIError as error:
                raise CopyError(f"the database {self._name} can't be copied: {_why(error)}") from None
        _sync(file)
        return file, seen

    @contextmanager
    def opened(self, file: Path) -> Iterator[Engine]:
        with self._restored(file, "_looking_at_a_copy") as (engine, _):
            yield engine

    @contextmanager
    def alone(self) -> Iterator[None]:
        query = text(
            "SELECT DISTINCT application_name || ' at ' || coalesce(host(client_addr), 'a local socket')"
            " FROM pg_stat_activity WHERE datname = :name AND pid <> pg_backend_pid()"
        )
        with self._serving() as connection:
            found = sorted(connection.execute(query, {"name": self._name}).scalars())
        if found:
            raise InUseError(f"the database {self._name} is in use: connected are {', '.join(found)[:200]}")
        yield

    def there(self, look: Callable[[Connection], ResultT]) -> ResultT | None:
        with self._serving() as connection:
            if not _exists(connection, self._name):
                return None
        with self._engine(self._url) as engine:
            try:
                with engine.begin() as connection:
                    return look(connection)
            except DBAPIError as error:
                raise UnreadableError(f"the database {self._name} can't be read: {_why(error)}") from None

    @contextmanager
    def staged(self, file: Path) -> Iterator[Staged]:
        with self._restored(file, "_restoring") as (engine, name):
            yield Staged(engine, lambda now: self._put(engine, name, now))

    def _put(self, engine: Engine, name: str, now: datetime) -> str | None:
        # The server refuses to rename what somebody is connected to.
        engine.dispose()
        kept = self._named(f"_before_{now:%Y%m%dT%H%M%SZ}")
        with self._engine(self._url.set(database=_MAINTENANCE)) as serving:
            quoted = serving.dialect.identifier_preparer.quote_identifier
            try:
                with serving.begin() as connection:
                    found = _exists(connection, self._name)
                    if found:
                        rename = f"ALTER DATABASE {quoted(self._name)} RENAME TO {quoted(kept)}"
                        connection.exec_driver_sql(rename)
                    connection.exec_driver_sql(f"ALTER DATABASE {quoted(name)} RENAME TO {quoted(self._name)}")
            except DBAPIError as error:
                if getattr(error.orig, "sqlstate", None) == _IN_USE:
                    raise InUseError(f"the database {self._name} is in use: {_why(error)}") from None
                raise CopyError(f"the copy can't take the database's place: {_why(error)}") from None
        return kept if found else None

    @contextmanager
    def _restored(self, file: Path, suffix: str) -> Iterator[tuple[Engine, str]]:
        name = self._named(suffix)
        with self._serving() as connection:
            quoted = connection.dialect.identifier_preparer.quote_identifier(name)
            try:
                # Of one that was killed.
                connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {quoted}")
                connection.exec_driver_sql(f"CREATE DATABASE {quoted} TEMPLATE template0{self._as_now(connection)}")
            except DBAPIError as error:
                why = f"no database can be made for the copy: {_why(error)}"
                raise CopyError(f"{why} (its user needs CREATEDB)") from None
            try:
                with self._engine(self._url.set(database=name)) as engine:
                    arguments = ["--exit-on-error", "--no-owner", "--no-privileges", "--no-comments", str(file)]
                    _programs(connection).run("pg_restore", engine, arguments)
                    yield engine, name
            finally:
                connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {quoted}")

    def _as_now(self, connection: Connection) -> str:
        """Encoding and order of text as in the database that is there."""
        query = text("SELECT pg_encoding_to_char(encoding), datcollate, datctype FROM pg_database WHERE datname = :n")
        found = connection.execute(query, {"n": self._name}).one_or_none()
        if found is None:
            return " ENCODING 'UTF8'"
        encoding, collate, ctype = (str(value).replace("'", "''") for value in found)
        return f" ENCODING '{encoding}' LC_COLLATE '{collate}' LC_CTYPE '{ctype}'"

    def _named(self, suffix: str) -> str:
        return f"{self._name[: _LONGEST - len(suffix)]}{suffix}"

    @contextmanager
    def _serving(self) -> Iterator[Connection]:
        """Each statement on its own, in the database that every server has."""
        with self._engine(self._url.set(database=_MAINTENANCE)) as engine:
            try:
                connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            except DBAPIError as error:
                raise CopyError(f"the server of the database {self._name} can't be asked: {_why(error)}") from None
            with connection:
                yield connection

    @staticmethod
    @contextmanager
    def _engine(url: URL) -> Iterator[Engine]:
        engine = make_engine(url.render_as_string(hide_password=False), pool_size=1)
        try:
            yield engine
        finally:
            engine.dispose()


def _programs(connection: Connection) -> PostgresqlPrograms:
    version = int(connection.execute(text("SHOW server_version_num")).scalar_one())
    return PostgresqlPrograms(version // 10_000)


def _exists(connection: Connection, name: str) -> bool:
    query = text("SELECT 1 FROM pg_database WHERE datname = :name")
    return connection.execute(query, {"name": name}).one_or_none() is not None


def _sync(file: Path) -> None:
    with file.open("rb+") as written:
        os.fsync(written.fileno())


def _why(error: DBAPIError) -> str:
    return str(error.orig).partition("\n")[0][:200]

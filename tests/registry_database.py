"""The database of a running registry, read and changed behind its back; of either kind, told as SQLite tells it."""

import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol

import psycopg
from psycopg import sql
from psycopg.rows import dict_row
from psycopg.types.json import set_json_loads
from sqlalchemy import make_url

from certlocal.debian import debian_program

__all__ = ["KIND", "PostgresDatabase", "RegistryDatabase", "Row", "SqliteDatabase", "opened"]

KIND: Final = os.environ.get("CERTBUS_TEST_DATABASE", "sqlite")
"""What running registries keep their rows in: `sqlite`, or `postgresql`, which takes longer."""

_UTC: Final = "-c timezone=UTC"
"""Instants are given as texts that name no zone."""

Row = dict[str, Any]
"""A row by its columns: instants, lists and truth as SQLite gives them."""


class RegistryDatabase(Protocol):
    def rows(self, query: str, values: Sequence[object]) -> list[Row]:
        """What a SELECT finds, `?` for each value."""
        ...

    def change(self, statement: str, values: Sequence[object]) -> None: ...

    def tables(self) -> list[str]: ...

    def copy(self, path: Path) -> None:
        """A consistent copy, made beside the running process."""
        ...

    def put_back(self, copy: Path) -> None:
        """Restore a copy, as an operator does; the process must be stopped."""
        ...

    def forget(self) -> None:
        """Leave nothing of it; the process must be stopped."""
        ...


def opened(url: str) -> RegistryDatabase:
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return SqliteDatabase(Path(str(parsed.database)))
    return PostgresDatabase(parsed.set(drivername="postgresql").render_as_string(hide_password=False))


class SqliteDatabase:
    def __init__(self, path: Path) -> None:
        self._path = path

    def rows(self, query: str, values: Sequence[object]) -> list[Row]:
        with closing(sqlite3.connect(f"file:{self._path}?mode=ro", uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(query, values)]

    def change(self, statement: str, values: Sequence[object]) -> None:
        with closing(sqlite3.connect(self._path, timeout=10.0)) as connection, connection:
            connection.execute(statement, values)

    def tables(self) -> list[str]:
        return [row["name"] for row in self.rows("SELECT name FROM sqlite_master WHERE type = 'table'", ())]

    def copy(self, path: Path) -> None:
        with closing(sqlite3.connect(self._path)) as source, closing(sqlite3.connect(path)) as copy:
            source.backup(copy)

    def put_back(self, copy: Path) -> None:
        self.forget()
        shutil.copy(copy, self._path)

    def forget(self) -> None:
        for suffix in ("-wal", "-shm", ""):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)


class PostgresDatabase:
    def __init__(self, url: str) -> None:
        self._url = url

    def rows(self, query: str, values: Sequence[object]) -> list[Row]:
        with psycopg.connect(self._url, options=_UTC, row_factory=dict_row) as connection:
            set_json_loads(_as_text, connection)
            found = connection.execute(_own(query), values).fetchall()
            return [{name: _as_in_sqlite(value) for name, value in row.items()} for row in found]

    def change(self, statement: str, values: Sequence[object]) -> None:
        with psycopg.connect(self._url, options=_UTC) as connection:
            connection.execute(_own(statement), values)

    def tables(self) -> list[str]:
        return [
            row["name"]
            for row in self.rows("SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'", ())
        ]

    def copy(self, path: Path) -> None:
        subprocess.run([_program("pg_dump"), f"--file={path}", self._url], check=True)

    def put_back(self, copy: Path) -> None:
        self.forget()
        restored = [_program("psql"), "--quiet", "--set=ON_ERROR_STOP=1", f"--file={copy}", self._url]
        subprocess.run(restored, check=True, stdout=subprocess.DEVNULL)

    def forget(self) -> None:
        name = str(make_url(self._url).database)
        with psycopg.connect(self._url, dbname="postgres", autocommit=True) as connection:
            for statement in ("DROP DATABASE {} WITH (FORCE)", "CREATE DATABASE {}"):
                connection.execute(sql.SQL(statement).format(sql.Identifier(name)))


def _program(name: str) -> str:
    return str(debian_program(name, package="postgresql", tell=print))


def _own(statement: str) -> bytes:
    return statement.replace("%", "%%").replace("?", "%s").encode()


def _as_text(data: str | bytes) -> str:
    return data if isinstance(data, str) else data.decode()


_FORMS: Final[dict[type, Callable[[Any], object]]] = {
    datetime: lambda value: value.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds"),
    bool: int,
    memoryview: bytes,
    list: json.dumps,
}


def _as_in_sqlite(value: object) -> object:
    form = _FORMS.get(type(value))
    return form(value) if form is not None else value

"""Statements that are executed often: compiled once, and handed to SQLite's driver as they are.

SQLAlchemy makes a context, a cursor and metadata for each execution, which costs several times what SQLite needs for
a row by its key. PostgreSQL, and whoever listens to statements, get SQLAlchemy's own way.
"""

import sqlite3
from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Dialect, Executable, Select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import TypeEngine

__all__ = ["Prepared", "driven"]

_Convert = Callable[[Any], Any] | None
_NOTHING: Final[Mapping[str, Any]] = {}
_MOST_KEPT: Final = 256


@dataclass(frozen=True)
class _Form:
    """A statement as SQLite's driver takes it. What `names` lacks in the values it takes from `fixed`."""

    text: str
    names: tuple[str, ...]
    fixed: Mapping[str, Any]
    bound: tuple[tuple[str, _Convert], ...]
    found: tuple[_Convert, ...]
    row: Callable[..., Any]

    def parameters(self, values: Mapping[str, Any]) -> list[Any]:
        taken = {**self.fixed, **values} if self.fixed else values
        return [taken[name] if convert is None else convert(taken[name]) for name, convert in self.bound]

    def rows(self, raw: Sequence[Sequence[Any]]) -> list[Any]:
        make, found = self.row, self.found
        return [
            make(*(value if convert is None else convert(value) for value, convert in zip(item, found, strict=True)))
            for item in raw
        ]


class Prepared:
    """A statement with bound names, compiled once for each set of names that it is given. Lists of values (`IN`), and
    defaults that Python makes, are executed in SQLAlchemy's own way.
    """

    def __init__(self, statement: Executable) -> None:
        self._statement = statement
        self._forms: dict[tuple[str, ...], _Form | None] = {}

    def rows(self, connection: Connection, values: Mapping[str, Any] = _NOTHING) -> Sequence[Any]:
        """What a query finds; each row has its values by position and by name, and `_asdict()`."""
        form = self._form(connection, values)
        if form is None:
            return connection.execute(self._statement, values).all()
        return form.rows(driven(connection, form.text, form.parameters(values)).fetchall())

    def change(self, connection: Connection, values: Mapping[str, Any]) -> int:
        """Change rows; returns how many were."""
        form = self._form(connection, values)
        if form is None:
            return connection.execute(self._statement, values).rowcount
        return driven(connection, form.text, form.parameters(values)).rowcount

    def change_all(self, connection: Connection, each: Iterable[Mapping[str, Any]]) -> None:
        """The same for each of these, which have the same names. PostgreSQL is asked once for all."""
        rows = list(each)
        if rows and connection.dialect.name != "sqlite":
            connection.execute(self._statement, rows)
            return
        for values in rows:
            self.change(connection, values)

    def _form(self, connection: Connection, values: Mapping[str, Any]) -> _Form | None:
        dialect = connection.dialect
        if dialect.name != "sqlite" or connection.dispatch.before_cursor_execute or not connection.in_transaction():
            return None
        names = tuple(values)
        if names not in self._forms:
            if len(self._forms) >= _MOST_KEPT:
                self._forms.clear()
            self._forms[names] = _compiled(self._statement, names, dialect)
        return self._forms[names]


def _compiled(statement: Executable, names: tuple[str, ...], dialect: Dialect) -> _Form | None:
    compiled = statement.compile(dialect=dialect, column_keys=list(names))  # type: ignore[attr-defined] # of all that we execute
    assert isinstance(compiled, SQLCompiler)
    if compiled.post_compile_params or compiled.insert_prefetch or compiled.update_prefetch:
        return None
    order = tuple(compiled.positiontup or ())
    bound = tuple((name, _binding(compiled.binds[name].type, dialect)) for name in order)
    columns = statement.selected_columns if isinstance(statement, Select) else ()
    return _Form(
        text=str(compiled),
        names=order,
        # One that is required and isn't given is missed when the parameters are made.
        fixed={
            name: value
            for name, value in compiled.params.items()
            if name in order and name not in names and not compiled.binds[name].required
        },
        bound=bound,
        found=tuple(_finding(column.type, dialect) for column in columns),
        row=namedtuple("Row", [str(column.key) for column in columns], rename=True),  # noqa: PYI024 # its columns are known now
    )


def _binding(kind: TypeEngine[Any], dialect: Dialect) -> _Convert:
    return kind.dialect_impl(dialect).bind_processor(dialect)


def _finding(kind: TypeEngine[Any], dialect: Dialect) -> _Convert:
    return kind.dialect_impl(dialect).result_processor(dialect, None)


def driven(connection: Connection, text: str, parameters: Sequence[Any] = ()) -> sqlite3.Cursor:
    """Executed by SQLite's driver; its errors are told as SQLAlchemy tells them."""
    driver = connection.connection.dbapi_connection
    assert driver is not None
    try:
        executed: sqlite3.Cursor = driver.cursor().execute(text, parameters)
    except sqlite3.Error as error:
        raise _told(error, text, connection) from error
    return executed


def _told(error: sqlite3.Error, text: str, connection: Connection) -> DBAPIError:
    """As SQLAlchemy would tell it, without the values."""
    told = DBAPIError.instance(text, None, error, sqlite3.Error, hide_parameters=True, dialect=connection.dialect)
    assert isinstance(told, DBAPIError)
    return told

"""Statements that change rows, run by SQLite's driver itself: what SQLAlchemy does around each execution costs many
times what SQLite does.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Delete, Dialect, Insert, Update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.compiler import SQLCompiler

__all__ = ["Prepared"]

_MOST_KEPT: Final = 256

Change = Insert | Update | Delete
_Driven = Callable[[Any], Any] | None
"""How the driver wants a value; None as it is."""


@dataclass(frozen=True)
class _Compiled:
    """`bound` are its parameters in their order: a name of one that is given, or a value that never changes."""

    sql: str
    bound: Sequence[tuple[str | None, Any, _Driven]]

    def parameters(self, values: Mapping[str, Any]) -> list[Any]:
        return [
            fixed if name is None else values[name] if driven is None else driven(values[name])
            for name, fixed, driven in self.bound
        ]


class Prepared:
    """A statement that is compiled once for each set of columns that it is given; on PostgreSQL it is SQLAlchemy's as
    ever. It must need nothing of SQLAlchemy: no default that Python makes, no list in it, no row returned, and nobody
    who listens to its events.
    """

    def __init__(self, statement: Change) -> None:
        self._statement = statement
        self._compiled: dict[tuple[str, ...], _Compiled] = {}

    def run(self, connection: Connection, values: Mapping[str, Any]) -> int:
        """How many rows were changed.

        Raises:
            DBAPIError: as SQLAlchemy does, without the values.
        """
        if connection.dialect.name != "sqlite":
            return connection.execute(self._statement, values).rowcount
        compiled = self._for(connection.dialect, tuple(values))
        driver = connection.connection.dbapi_connection
        assert driver is not None, "the connection is open"
        try:
            changed: int = driver.cursor().execute(compiled.sql, compiled.parameters(values)).rowcount
        except connection.dialect.loaded_dbapi.Error as error:
            raise _told(connection.dialect, compiled.sql, error) from error
        return changed

    def run_all(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """The same for each of these rows."""
        if connection.dialect.name == "sqlite":
            for row in rows:
                self.run(connection, row)
        elif rows:
            connection.execute(self._statement, rows)

    def _for(self, dialect: Dialect, columns: tuple[str, ...]) -> _Compiled:
        compiled = self._compiled.get(columns)
        if compiled is None:
            if len(self._compiled) >= _MOST_KEPT:
                self._compiled.clear()
            compiled = self._compiled[columns] = _compiled(self._statement, dialect, columns)
        return compiled


def _compiled(statement: Change, dialect: Dialect, columns: Sequence[str]) -> _Compiled:
    made = statement.compile(dialect=dialect, column_keys=list(columns))
    assert isinstance(made, SQLCompiler)
    assert not made.insert_prefetch, "no default that Python makes"
    assert not made.update_prefetch, "no default that Python makes"
    by_name = {name: bind for bind, name in made.bind_names.items()}
    bound: list[tuple[str | None, Any, _Driven]] = []
    for name in made.positiontup or ():
        bind = by_name[name]
        driven = bind.type.dialect_impl(dialect).bind_processor(dialect)
        if bind.required or name in columns:
            bound.append((name, None, driven))
        else:
            bound.append((None, bind.value if driven is None else driven(bind.value), None))
    return _Compiled(str(made), tuple(bound))


def _told(dialect: Dialect, sql: str, error: Exception) -> BaseException:
    return DBAPIError.instance(
        sql, None, error, dialect.loaded_dbapi.Error, hide_parameters=True, dialect=dialect, ismulti=False
    )

"""Statements that are executed often: compiled once, and handed to the database's driver as they are.

SQLAlchemy makes a context, a cursor and metadata for each execution, which costs several times what the database
needs for a row by its key. Whoever listens to statements gets SQLAlchemy's own way.
"""

from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Dialect, Executable, Float, Select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import TypeEngine

__all__ = ["Prepared", "driven", "together"]

_Convert = Callable[[Any], Any] | None
_NOTHING: Final[Mapping[str, Any]] = {}
_MOST_KEPT: Final = 256
_TOGETHER: Final = "certkit.together"
_FLOAT8: Final = 701
"""PostgreSQL's own number for the type of a float."""


@dataclass(frozen=True)
class _Form:
    """A statement as a driver takes it: SQLite's by position, PostgreSQL's by name. What the values lack is taken
    from `fixed`.
    """

    text: str
    by_name: bool
    fixed: Mapping[str, Any]
    bound: tuple[tuple[str, _Convert], ...]
    found: tuple[_Convert, ...]
    row: Callable[..., Any]

    def parameters(self, values: Mapping[str, Any]) -> Sequence[Any] | Mapping[str, Any]:
        taken = {**self.fixed, **values} if self.fixed else values
        if self.by_name:
            return {name: taken[name] if convert is None else convert(taken[name]) for name, convert in self.bound}
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
        self._forms: dict[tuple[str, tuple[str, ...]], _Form | None] = {}

    def rows(self, connection: Connection, values: Mapping[str, Any] = _NOTHING) -> Sequence[Any]:
        """What a query finds; each row has its values by position and by name, and `_asdict()`."""
        form = self._form(connection, values)
        if form is None:
            return connection.execute(self._statement, values).all()
        return form.rows(driven(connection, form.text, form.parameters(values)).fetchall())

    def change(self, connection: Connection, values: Mapping[str, Any]) -> int:
        """Change rows; returns how many were, which nobody knows yet within `together`."""
        form = self._form(connection, values)
        if form is None:
            return connection.execute(self._statement, values).rowcount
        changed: int = driven(connection, form.text, form.parameters(values)).rowcount
        return changed

    def change_all(self, connection: Connection, each: Iterable[Mapping[str, Any]]) -> None:
        """The same for each of these, which have the same names. PostgreSQL is asked once for all."""
        rows = list(each)
        with together(connection) if len(rows) > 1 else nullcontext():
            for values in rows:
                self.change(connection, values)

    def _form(self, connection: Connection, values: Mapping[str, Any]) -> _Form | None:
        dialect = connection.dialect
        if not _is_driven(connection):
            return None
        names = dialect.name, tuple(values)
        if names not in self._forms:
            if len(self._forms) >= _MOST_KEPT:
                self._forms.clear()
            self._forms[names] = _compiled(self._statement, names[1], dialect)
        return self._forms[names]


def _is_driven(connection: Connection) -> bool:
    return connection.in_transaction() and not connection.dispatch.before_cursor_execute


@contextmanager
def together(connection: Connection) -> Iterator[None]:
    """PostgreSQL gets the changes in it one after the other, and is waited for at the end alone: how many rows each
    changed isn't known before. What is wrong with one is told then, or by a query between them. SQLAlchemy's own way
    to execute can't be taken in it.
    """
    if connection.dialect.name == "sqlite" or _TOGETHER in connection.info or not _is_driven(connection):
        yield
        return
    driver: Any = connection.connection.dbapi_connection
    connection.info[_TOGETHER] = True
    try:
        with driver.pipeline():
            yield
    except connection.dialect.loaded_dbapi.Error as error:
        raise _told(error, "", connection) from error
    finally:
        # A connection that broke has none any more.
        if not connection.invalidated:
            connection.info.pop(_TOGETHER, None)


def _compiled(statement: Executable, names: tuple[str, ...], dialect: Dialect) -> _Form | None:
    compiled = statement.compile(dialect=dialect, column_keys=list(names))  # type: ignore[attr-defined] # of all that we execute
    assert isinstance(compiled, SQLCompiler)
    if compiled.post_compile_params or compiled.insert_prefetch or compiled.update_prefetch:
        return None
    binds = {name: bind for bind, name in compiled.bind_names.items()}
    order = tuple(compiled.positiontup if compiled.positiontup is not None else binds)
    bound = tuple((name, _binding(binds[name].type, dialect)) for name in order)
    columns = statement.selected_columns if isinstance(statement, Select) else ()
    return _Form(
        text=str(compiled),
        by_name=not compiled.positional,
        # One that is required and isn't given is missed when the parameters are made.
        fixed={
            name: value
            for name, value in compiled.params.items()
            if name in order and name not in names and not binds[name].required
        },
        bound=bound,
        found=tuple(_finding(column.type, dialect) for column in columns),
        row=namedtuple("Row", [str(column.key) for column in columns], rename=True),  # noqa: PYI024 # its columns are known now
    )


def _binding(kind: TypeEngine[Any], dialect: Dialect) -> _Convert:
    return kind.dialect_impl(dialect).bind_processor(dialect)


def _finding(kind: TypeEngine[Any], dialect: Dialect) -> _Convert:
    return kind.dialect_impl(dialect).result_processor(dialect, _FLOAT8 if isinstance(kind, Float) else None)


def driven(connection: Connection, text: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> Any:
    """The driver's own cursor, on which it executed this; its errors are told as SQLAlchemy tells them."""
    driver: Any = connection.connection.dbapi_connection
    assert driver is not None
    try:
        return driver.cursor().execute(text, parameters)
    except connection.dialect.loaded_dbapi.Error as error:
        raise _told(error, text, connection) from error


def _told(error: Exception, text: str, connection: Connection) -> DBAPIError:
    """As SQLAlchemy would tell it, without the values."""
    dialect = connection.dialect
    told = DBAPIError.instance(text, None, error, dialect.loaded_dbapi.Error, hide_parameters=True, dialect=dialect)
    assert isinstance(told, DBAPIError)
    return told

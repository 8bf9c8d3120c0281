"""Rows that are inserted, or meet the one with their key, on SQLite and PostgreSQL."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Executable, Table
from sqlalchemy.dialects import postgresql, sqlite

from certkit.prepared import Prepared

__all__ = ["put", "put_all", "put_new"]


def put(connection: Connection, table: Table, values: Mapping[str, Any], key: tuple[str, ...]) -> None:
    """Insert the row, or replace the values of the one with this key; `values` has every column."""
    _upsert(table, key, connection.dialect.name)[1].change(connection, values)


def put_all(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]], key: tuple[str, ...]) -> None:
    """As `put`, for many rows."""
    if rows:
        connection.execute(_upsert(table, key, connection.dialect.name)[0], rows)


def put_new(connection: Connection, table: Table, values: Mapping[str, Any]) -> bool:
    """Insert the row; False where one with its key is there, which stays."""
    return _insert_new(table, connection.dialect.name).change(connection, values) == 1


@cache
def _upsert(table: Table, key: tuple[str, ...], dialect: str) -> tuple[Executable, Prepared]:
    # Made once: building a statement costs as much as executing it.
    statement = _insert(table, dialect)
    others = {column.name: statement.excluded[column.name] for column in table.columns if column.name not in key}
    made = statement.on_conflict_do_update(index_elements=key, set_=others)
    return made, Prepared(made)


@cache
def _insert_new(table: Table, dialect: str) -> Prepared:
    # Otherwise SQLAlchemy keeps the count of an INSERT only for as long as the driver does.
    return Prepared(_insert(table, dialect).on_conflict_do_nothing().execution_options(preserve_rowcount=True))


def _insert(table: Table, dialect: str) -> postgresql.Insert | sqlite.Insert:
    return (postgresql.insert if dialect == "postgresql" else sqlite.insert)(table)

"""The forms of statement that several nouns need, and how their values are read."""

from collections.abc import Sequence
from enum import StrEnum
from functools import cache
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, Executable, Table, and_, func, select
from sqlalchemy.dialects import postgresql, sqlite

from certcore.errors import TransientError

__all__ = ["RowChangedError", "exists", "known_or_text", "put", "put_all"]

EnumT = TypeVar("EnumT", bound=StrEnum)


class RowChangedError(TransientError):
    """Somebody saved a row since it was read: what was decided by it is to be decided again."""


def known_or_text(kind: type[EnumT], text: str) -> EnumT:
    """A stored word; one that a newer version wrote stays the text that it is, and equals no known one."""
    try:
        return kind(text)
    except ValueError:
        return cast("EnumT", text)


def exists(connection: Connection, table: Table, key: dict[str, str]) -> bool:
    """Whether a row has these values."""
    query = select(func.count()).select_from(table).where(and_(*(table.c[name] == key[name] for name in key)))
    return (connection.execute(query)).scalar_one() > 0


def put(connection: Connection, table: Table, values: dict[str, Any], key: tuple[str, ...]) -> None:
    """Insert the row, or replace the values of the one with this key; `values` has every column."""
    connection.execute(_upsert(table, key, connection.dialect.name), values)


def put_all(connection: Connection, table: Table, rows: Sequence[dict[str, Any]], key: tuple[str, ...]) -> None:
    """As `put`, for many rows."""
    if rows:
        connection.execute(_upsert(table, key, connection.dialect.name), rows)


@cache
def _upsert(table: Table, key: tuple[str, ...], dialect: str) -> Executable:
    # Made once: building a statement costs as much as executing it.
    statement = (postgresql.insert if dialect == "postgresql" else sqlite.insert)(table)
    others = {column.name: statement.excluded[column.name] for column in table.columns if column.name not in key}
    return statement.on_conflict_do_update(index_elements=key, set_=others)

"""The forms of statement that several nouns need, and how their values are read."""

from enum import StrEnum
from typing import TypeVar, cast

from sqlalchemy import Connection, Table, and_, func, select

from certcore.errors import TransientError

__all__ = ["RowChangedError", "exists", "known_or_text"]

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

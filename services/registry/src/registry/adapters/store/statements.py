"""The forms of statement that several nouns need, and how their values are read."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import StrEnum
from functools import cache
from typing import Any, Final, TypeVar, cast

from sqlalchemy import ColumnElement, Connection, FromClause, Table, and_, bindparam, func, select

from certcore.errors import TransientError
from certkit.prepared import Prepared

__all__ = ["OfIds", "RowChangedError", "exists", "is_among", "known_or_text"]

EnumT = TypeVar("EnumT", bound=StrEnum)


_NOTHING: Final[Mapping[str, str]] = {}


class OfIds:
    """The rows of one id or of many. For one it is a statement of its own: an IN is written anew each time that it is
    executed, which takes as long as all else.
    """

    def __init__(
        self,
        columns: Sequence[ColumnElement[Any]],
        key: ColumnElement[str],
        *order: ColumnElement[Any],
        among: FromClause | None = None,
        such: ColumnElement[bool] | None = None,
    ) -> None:
        """Of a join, and with a condition of other values, where that is given."""
        rows = select(*columns).order_by(*order)
        if among is not None:
            rows = rows.select_from(among)
        if such is not None:
            rows = rows.where(such)
        self._one = Prepared(rows.where(key == bindparam("one")))
        self._many = rows.where(key.in_(bindparam("ids", expanding=True)))

    def rows(self, connection: Connection, ids: Sequence[str], values: Mapping[str, str] = _NOTHING) -> Iterable[Any]:
        if len(ids) == 1:
            return self._one.rows(connection, {"one": ids[0], **values})
        return connection.execute(self._many, {"ids": ids, **values})


class RowChangedError(TransientError):
    """Somebody saved a row since it was read: what was decided by it is to be decided again."""


def known_or_text(kind: type[EnumT], text: str) -> EnumT:
    """A stored word; one that a newer version wrote stays the text that it is, and equals no known one."""
    try:
        return kind(text)
    except ValueError:
        return cast("EnumT", text)


def is_among(column: ColumnElement[str], values: Collection[str]) -> ColumnElement[bool]:
    """For one value the equation, of which an index is of use for the order too."""
    return column == next(iter(values)) if len(values) == 1 else column.in_(sorted(values))


def exists(connection: Connection, table: Table, key: dict[str, str]) -> bool:
    """Whether a row has these values."""
    ((found,),) = _count(table, tuple(key)).rows(connection, key)
    return bool(found > 0)


@cache
def _count(table: Table, names: tuple[str, ...]) -> Prepared:
    query = select(func.count()).select_from(table)
    return Prepared(query.where(and_(*(table.c[name] == bindparam(name) for name in names))))

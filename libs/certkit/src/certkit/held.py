"""Words that one work of a PostgreSQL database holds at a time, whatever process runs it.

A transaction there sees one state of the database, and is refused where a row that it changes was changed since.
Nothing of the kind guards what it decides by rows that it doesn't change: how many there are, that there is none. So
it names what that is about, and holds the name. The lock is the session's, taken before the transaction begins: one
that is taken within it would be given when its state is old already. SQLite has one writer and needs none of this.
"""

import hashlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

__all__ = ["NotHeldError", "hold", "holding"]

_HELD: Final = "certkit.held"
_LOCKS: Final = 0x63657274
"""The first half of the advisory locks: others of the database have other ones."""


class NotHeldError(Exception):
    """The work is to be begun anew with these words; `certkit.transactions` does, and nobody else sees it."""

    def __init__(self, words: Collection[str]) -> None:
        super().__init__(f"{len(words)} words are not held")
        self.words = frozenset(words)


def hold(connection: Connection, words: Collection[str]) -> None:
    """Nobody else runs a work that holds one of the words until this one is committed, and it sees all that they
    committed. Whoever knows them beforehand gives them to `Database.write`; else the work is begun once more.
    """
    if connection.dialect.name == "sqlite":
        return
    missing = frozenset(words) - connection.info.get(_HELD, frozenset())
    if missing:
        raise NotHeldError(missing)


@contextmanager
def holding(connection: Connection, words: Collection[str]) -> Iterator[None]:
    """Around a transaction of PostgreSQL, which must not have begun."""
    if not words:
        yield
        return
    # In one order: two that want the same don't wait for each other.
    keys = sorted({_key(word) for word in words})
    driver: Any = connection.connection.dbapi_connection
    try:
        _alone(driver, "SELECT pg_advisory_lock(%s, word) FROM unnest(%s::int[]) AS word", keys)
    except connection.dialect.loaded_dbapi.Error as error:
        # What it had of them goes with it.
        connection.invalidate()
        raise _told(connection, error) from error
    connection.info[_HELD] = frozenset(words)
    try:
        yield
    finally:
        if not driver.closed:
            connection.info.pop(_HELD, None)
            _alone(driver, "SELECT pg_advisory_unlock(%s, word) FROM unnest(%s::int[]) AS word", keys)


def _alone(driver: Any, statement: str, keys: list[int]) -> None:
    """Outside of any transaction."""
    driver.autocommit = True
    driver.execute(statement, (_LOCKS, keys))
    driver.autocommit = False


def _told(connection: Connection, error: Exception) -> DBAPIError:
    dialect = connection.dialect
    told = DBAPIError.instance(None, None, error, dialect.loaded_dbapi.Error, hide_parameters=True, dialect=dialect)
    assert isinstance(told, DBAPIError)
    return told


def _key(word: str) -> int:
    return int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], signed=True)

"""A savepoint for each of several works in one transaction; and what undoes a work, wherever it runs."""

from typing import Final

from sqlalchemy import Connection

__all__ = ["Savepoint", "forget", "undo"]

_SAVEPOINT: Final = "certkit.savepoint"


def undo(connection: Connection) -> None:
    """Undo what the work that runs on this connection did so far: it is committed as nothing."""
    savepoint = connection.info.get(_SAVEPOINT)
    if savepoint is not None:
        savepoint.undo()
        return
    transaction = connection.get_transaction()
    assert transaction is not None, "a work runs in a transaction"
    transaction.rollback()


def forget(connection: Connection) -> None:
    """A transaction that broke off may have left its savepoint."""
    connection.info.pop(_SAVEPOINT, None)


class Savepoint:
    """Of one work. Without SQLAlchemy's own: that costs as much as the work inside it. One that is done stays below
    those of the next works, and goes with the commit: to release it is a statement more.
    """

    def __init__(self, connection: Connection) -> None:
        self._cursor = connection.connection.cursor()
        self._cursor.execute("SAVEPOINT work")
        self._info = connection.info
        self._info[_SAVEPOINT] = self

    def done(self) -> None:
        self._info.pop(_SAVEPOINT, None)

    def undo(self) -> None:
        self._cursor.execute("ROLLBACK TO work")

    def rollback(self) -> None:
        self._info.pop(_SAVEPOINT, None)
        self.undo()
        self._cursor.execute("RELEASE work")

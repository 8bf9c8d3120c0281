"""The journal's database: transactions, and what is wrong with it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final, Self

from sqlalchemy import update
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from issuer.adapters.group_commit import GroupCommit, NotCommittedError
from issuer.adapters.tables import registry_epoch
from issuer.domain.errors import JournalAwayError

__all__ = ["JournalDatabase"]

_TOUCH: Final = update(registry_epoch).values(attempts=registry_epoch.c.attempts + 1)


class JournalDatabase:
    """As an async context manager it closes the engine at the end."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._groups = GroupCommit(engine) if engine.dialect.name == "sqlite" else None
        self._trouble: str | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._groups is not None:
            await self._groups.close()
        await self._engine.dispose()

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[AsyncConnection]:
        """A transaction, which must not begin another one.

        Raises:
            JournalAwayError: the database is locked by another process, has no room, or can't be reached.
        """
        begin = self._groups.transaction if self._groups is not None else self._engine.begin
        try:
            async with begin() as connection:
                yield connection
        except (OperationalError, InterfaceError, NoConnectionError, NotCommittedError, OSError) as error:
            # Without its SQL and parameters: they may be a row of the journal.
            self._trouble = _reason(error.__cause__ if isinstance(error, NotCommittedError) else error)
            raise JournalAwayError(f"the journal can't be read or written: {self._trouble}") from None

    async def try_to_write(self) -> None:
        """Find out whether the database can be written, also while nothing else is.

        Raises:
            JournalAwayError: as `transaction`.
        """
        async with self.transaction() as connection:
            await connection.execute(_TOUCH)
        self._trouble = None

    def not_ready(self) -> str | None:
        """What went wrong, until `try_to_write` comes through."""
        return f"the journal can't be written: {self._trouble}" if self._trouble else None


def _reason(error: BaseException | None) -> str:
    return str(error.orig if isinstance(error, DBAPIError) else type(error).__name__)[:200]

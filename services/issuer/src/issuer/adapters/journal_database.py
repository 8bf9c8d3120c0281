"""The journal's database: transactions, and what is wrong with it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final, Self

from sqlalchemy import update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from certkit.database import DatabaseBusyError, busy
from issuer.adapters.group_commit import GroupCommit
from issuer.adapters.tables import registry_epoch

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
            DatabaseBusyError: the database is locked by another process, has no room, or can't be reached; what was
                to be written is not, or nobody knows: writes are compare-and-set, so whoever looks again sees it.
        """
        begin = self._groups.transaction if self._groups is not None else self._engine.begin
        try:
            async with begin() as connection:
                yield connection
        except DatabaseBusyError as error:
            self._trouble = str(error)
            raise
        except DBAPIError as error:
            passing = busy(error)
            if passing is None:
                raise
            self._trouble = str(passing)
            raise passing from None

    async def try_to_write(self) -> None:
        """Find out whether the database can be written, also while nothing else is.

        Raises:
            DatabaseBusyError: as `transaction`.
        """
        async with self.transaction() as connection:
            await connection.execute(_TOUCH)
        self._trouble = None

    def not_ready(self) -> str | None:
        """What went wrong, until `try_to_write` comes through."""
        return self._trouble

"""The journal's database: works that read or write it, and what is wrong with it."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self, TypeVar

from sqlalchemy import Connection, update
from sqlalchemy.exc import DBAPIError

from certkit.database import DatabaseBusyError, is_newest, was_overtaken
from certkit.transactions import Database
from issuer.adapters.tables import registry_epoch

__all__ = ["NOBODY_WAITS_S", "JournalDatabase", "Within"]

ResultT = TypeVar("ResultT")

Within = Callable[[Connection], None]
"""A part of somebody else's work."""

NOBODY_WAITS_S: Final = 0.25
"""Patience of writes that nobody waits for."""
_TRIES: Final = 8
_AGAIN_S: Final = 0.01
_KNOWN_FOR_S: Final = 10.0
_TOUCH: Final = update(registry_epoch).values(attempts=registry_epoch.c.attempts + 1)


class JournalDatabase:
    """As an async context manager it closes the database at the end."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._trouble: str | None = None
        self._written_at: float | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._database.close()

    async def upgrade(self, migrations: Path) -> None:
        await self._database.upgrade(migrations)

    async def is_newest(self, migrations: Path) -> bool:
        """Whether it has the schema of this issuer.

        Raises:
            DatabaseBusyError: it can't be read now, or isn't there.
        """
        return await self._database.read(lambda connection: is_newest(connection, migrations))

    async def write(self, work: Callable[[Connection], ResultT], *, patience_s: float = 0.0) -> ResultT:
        """As `Database.write`. A work that another host's overtook is done again, so it must bear that.

        Raises:
            DatabaseBusyError: the database is locked by another process, has no room, or can't be reached; what was
                to be written is not, or nobody knows: writes are compare-and-set, so whoever looks again sees it.
        """
        for tries in range(1, _TRIES + 1):
            try:
                result = await self._database.write(work, patience_s=patience_s)
            except DatabaseBusyError as error:
                self._trouble = str(error)
                raise
            except DBAPIError as error:
                if not was_overtaken(error):
                    raise
                await asyncio.sleep(tries * _AGAIN_S)
            else:
                self._written_at = asyncio.get_running_loop().time()
                return result
        raise DatabaseBusyError("others changed the same rows at the same time, again and again")

    async def read(self, work: Callable[[Connection], ResultT]) -> ResultT:
        """As `Database.read`.

        Raises:
            DatabaseBusyError: the database can't be read now.
        """
        return await self._database.read(work)

    async def try_to_write(self) -> None:
        """Find out whether the database can be written, where it isn't known: nothing was written lately, or the
        last write failed. It costs nothing while others write.

        Raises:
            DatabaseBusyError: as `write`.
        """
        now = asyncio.get_running_loop().time()
        if self._trouble is None and self._written_at is not None and now - self._written_at < _KNOWN_FOR_S:
            return
        await self.write(lambda connection: connection.execute(_TOUCH))
        self._trouble = None

    def writable(self) -> bool:
        """Whether nothing went wrong since `try_to_write` came through."""
        return self._trouble is None

    def not_ready(self) -> str | None:
        """What went wrong, until `try_to_write` comes through."""
        return self._trouble

"""SQLite has one writer, and each commit waits for the disk: transactions that wait share one commit."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from certkit.database import DatabaseBusyError, busy

__all__ = ["GroupCommit"]

_MOST: Final = 64
"""Transactions of one commit: the first of them waits for the last."""


class _Ticket:
    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.turn: asyncio.Future[AsyncConnection] = loop.create_future()
        self.outcome: asyncio.Future[Exception | None] = loop.create_future()
        self.left = asyncio.Event()
        self.broke: Exception | None = None


@asynccontextmanager
async def _savepoint(connection: AsyncConnection, ticket: _Ticket) -> AsyncGenerator[AsyncConnection]:
    savepoint = await connection.begin_nested()
    try:
        yield connection
    except Exception as error:
        try:
            await savepoint.rollback()
        except DBAPIError as gone:
            # A full disk has SQLite undo the whole transaction, with its savepoints.
            ticket.broke = error if isinstance(error, DBAPIError) else gone
        raise
    except BaseException:
        # Its statement may still run: nothing more is done with this connection.
        ticket.broke = DatabaseBusyError("a transaction of the same commit was cancelled")
        raise
    await savepoint.commit()


class GroupCommit:
    """One transaction runs at a time, each in a savepoint of its own: what one raises undoes only its own work. Each
    ends when what it wrote is on disk.

    A transaction must not begin another one.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._waiting: deque[_Ticket] = deque()
        self._serving: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[AsyncConnection]:
        """
        Raises:
            DBAPIError, DatabaseBusyError: nothing was written; or, where the commit failed, nobody knows.
        """
        ticket = _Ticket()
        self._waiting.append(ticket)
        if self._serving is None or self._serving.done():
            self._serving = asyncio.create_task(self._serve())
        try:
            async with _savepoint(await ticket.turn, ticket) as connection:
                yield connection
        finally:
            ticket.left.set()
        failed = await ticket.outcome
        if failed is not None:
            raise failed

    async def close(self) -> None:
        """Let what waits end."""
        if self._serving is not None:
            await self._serving

    async def _serve(self) -> None:
        while self._waiting:
            group: list[_Ticket] = []
            failed: Exception | None = None
            try:
                async with self._engine.begin() as connection:
                    await self._run(group, connection)
            except Exception as error:  # noqa: BLE001 # whatever it was, whoever waits must learn of it
                # One for all: an error of a statement quotes it, and belongs to the one that made it.
                failed = (busy(error) if isinstance(error, DBAPIError) else None) or error
                if not group:
                    # Nobody can begin: who waits would wait as long again.
                    group, self._waiting = list(self._waiting), deque()
            for ticket in group:
                if failed is not None and not ticket.turn.done():
                    ticket.turn.set_exception(failed)
                if not ticket.outcome.done():
                    # Else it was cancelled while it waited for the commit.
                    ticket.outcome.set_result(failed)

    async def _run(self, group: list[_Ticket], connection: AsyncConnection) -> None:
        while self._waiting and len(group) < _MOST:
            ticket = self._waiting.popleft()
            if ticket.turn.done():
                # Whoever waited was cancelled.
                continue
            group.append(ticket)
            ticket.turn.set_result(connection)
            await ticket.left.wait()
            if ticket.broke is not None:
                raise ticket.broke

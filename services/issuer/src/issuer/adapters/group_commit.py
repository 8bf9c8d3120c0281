"""SQLite has one writer, and each commit waits for the disk: transactions that wait share one commit."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

__all__ = ["GroupCommit", "NotCommittedError"]

_MOST: Final = 64
"""Transactions of one commit: the first of them waits for the last."""


class NotCommittedError(Exception):
    """The commit that a transaction was part of failed, or never began; `__cause__` has the reason."""


class _Ticket:
    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.turn: asyncio.Future[AsyncConnection] = loop.create_future()
        self.outcome: asyncio.Future[Exception | None] = loop.create_future()
        self.left = asyncio.Event()
        self.broke: Exception | None = None


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
            NotCommittedError: nothing was written; or, where the commit itself failed, that isn't known.
        """
        ticket = _Ticket()
        self._waiting.append(ticket)
        if self._serving is None or self._serving.done():
            self._serving = asyncio.create_task(self._serve())
        try:
            connection = await ticket.turn
            async with connection.begin_nested():
                yield connection
        except SQLAlchemyError as error:
            if not isinstance(error, IntegrityError):
                # SQLite may have undone the whole: a full disk does that.
                ticket.broke = error
            raise
        finally:
            ticket.left.set()
        failed = await ticket.outcome
        if failed is not None:
            raise NotCommittedError from failed

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
                failed = error
                if not group:
                    # Nobody can begin: who waits would wait as long again.
                    group, self._waiting = list(self._waiting), deque()
            for ticket in group:
                if failed is not None and not ticket.turn.done():
                    ticket.turn.set_exception(_because(failed))
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


def _because(reason: Exception) -> NotCommittedError:
    error = NotCommittedError()
    error.__cause__ = reason
    return error

"""Transactions off the event loop: writers queue for one thread, readers have connections of their own."""

import asyncio
import contextvars
import threading
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Final, TypeVar

import structlog
from prometheus_client import CollectorRegistry, Counter
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from certkit.database import busy, make_engine, upgrade_schema
from certkit.database_lock import using
from certkit.group_writer import GroupWriter, KeptConnection
from certkit.held import NotHeldError, holding

__all__ = ["Database"]

log = structlog.get_logger()

ResultT = TypeVar("ResultT")

_READERS: Final = 4
_WRITERS: Final = 8
_SCHEMA: Final = "schema"


class Database:
    """Works are plain functions of a connection, each all or nothing; they see the caller's context variables.

    SQLite has one writer: one thread takes all works that wait, runs each in a savepoint of one transaction, and
    commits them together. What a caller awaits is on the disk. PostgreSQL runs each in a transaction of its own.
    """

    def __init__(self, url: str, *, metrics: CollectorRegistry) -> None:
        self._url = url
        self._in_use = ExitStack()
        self._writing = make_engine(url, pool_size=_WRITERS)
        self._reading = make_engine(url, read_only=True, pool_size=_READERS)
        self._commits = Counter(
            "certbus_database_commits", "Write transactions that were committed.", registry=metrics
        )
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="sql-read")
        self._of_thread = threading.local()
        self._kept: list[KeptConnection] = []
        self._writer: GroupWriter | None = None
        self._writers: ThreadPoolExecutor | None = None
        if self._writing.dialect.name == "sqlite":
            self._writer = GroupWriter(self._writing, committed=self._commits.inc)
        else:
            self._writers = ThreadPoolExecutor(_WRITERS, thread_name_prefix="sql-write")

    async def upgrade(self, migrations: Path) -> None:
        """Bring the schema to the newest version of the migrations folder; of several that start, one does. Until
        `close` no copy can be put in the database's place.

        Raises:
            InUseError: one is being put there.
            DatabaseBusyError: the database takes no writes now.
        """
        self._in_use.enter_context(using(self._url))
        await self.write(lambda connection: upgrade_schema(connection, migrations), held=[_SCHEMA])

    async def write(
        self, work: Callable[[Connection], ResultT], *, patience_s: float = 0.0, held: Collection[str] = ()
    ) -> ResultT:
        """Run a work that may write, and return its result when it is committed.

        A caller that is cancelled meanwhile doesn't stop it. With `patience_s` nobody waits for the result: in SQLite
        the work may begin so many seconds later, to be committed with one that somebody waits for. What is `held`
        nobody else holds meanwhile, see `certkit.held`.

        Raises:
            DatabaseBusyError: the database takes no writes now; nothing of the work is stored.
        """
        inside = contextvars.copy_context()
        if self._writer is not None:
            return await self._writer.submit(lambda connection: inside.run(work, connection), patience_s=patience_s)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._writers, inside.run, self._write_now, work, frozenset(held))

    async def read(self, work: Callable[[Connection], ResultT]) -> ResultT:
        """Run a work that only reads. It sees one state of the database, and waits for no writer.

        Raises:
            DatabaseBusyError: the database can't be read now.
        """
        inside = contextvars.copy_context()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._readers, inside.run, self._read_now, work)

    async def close(self) -> None:
        """Finish what was begun."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        if self._writers is not None:
            self._writers.shutdown()
        self._readers.shutdown()
        for kept in self._kept:
            kept.drop()
        self._writing.dispose()
        self._reading.dispose()
        self._in_use.close()

    def _read_now(self, work: Callable[[Connection], ResultT]) -> ResultT:
        kept = self._kept_of_thread()
        try:
            if kept is None:
                with self._reading.begin() as connection:
                    return work(connection)
            connection = kept.connection()
            with connection.begin():
                return work(connection)
        except DBAPIError as error:
            if kept is not None:
                kept.drop()
            passing = busy(error)
            # A work that writes here is a fault, and no state of the database.
            raise error if passing is None or "readonly" in str(passing) else passing from None

    def _kept_of_thread(self) -> KeptConnection | None:
        """None where a connection may be lost between two works: a pool finds that out."""
        if self._writer is None:
            return None
        kept: KeptConnection | None = getattr(self._of_thread, "kept", None)
        if kept is None:
            kept = self._of_thread.kept = KeptConnection(self._reading)
            self._kept.append(kept)
        return kept

    def _write_now(self, work: Callable[[Connection], ResultT], held: frozenset[str]) -> ResultT:
        while True:
            try:
                return self._write_once(work, held)
            except NotHeldError as error:
                held |= error.words

    def _write_once(self, work: Callable[[Connection], ResultT], held: frozenset[str]) -> ResultT:
        try:
            with (
                self._writing.connect() as connection,
                holding(connection, held),
                connection.begin() as transaction,
            ):
                result = work(connection)
                if transaction.is_active:
                    transaction.commit()
                    self._commits.inc()
                return result
        except DBAPIError as error:
            raise busy(error) or error from None

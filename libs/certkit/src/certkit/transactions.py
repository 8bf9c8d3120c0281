"""Transactions off the event loop: writers queue for one thread, readers have connections of their own."""

import asyncio
import contextvars
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final, Generic, TypeVar

import structlog
from prometheus_client import CollectorRegistry, Counter
from sqlalchemy import Connection, Engine, Transaction
from sqlalchemy.exc import DBAPIError, IntegrityError

from certkit.database import DatabaseBusyError, busy, make_engine, upgrade_schema
from certkit.database_lock import using
from certkit.held import NotHeldError, holding

__all__ = ["Database", "undo"]

log = structlog.get_logger()

ResultT = TypeVar("ResultT")

_MOST_AT_ONCE: Final = 64
_MOST_PATIENT: Final = 8
"""With so many patient works, they are company enough for each other."""
_SAVEPOINT: Final = "certkit.savepoint"
_GATHERING_S: Final = 0.008
"""So long the writer lets works gather between two commits of a burst."""
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
        self._kept: list[_Kept] = []
        self._writer: _GroupWriter | None = None
        self._writers: ThreadPoolExecutor | None = None
        if self._writing.dialect.name == "sqlite":
            self._writer = _GroupWriter(self._writing, committed=self._commits.inc)
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

    def _kept_of_thread(self) -> "_Kept | None":
        """None where a connection may be lost between two works: a pool finds that out."""
        if self._writer is None:
            return None
        kept: _Kept | None = getattr(self._of_thread, "kept", None)
        if kept is None:
            kept = self._of_thread.kept = _Kept(self._reading)
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


class _Kept:
    """A connection that one thread keeps: a pool costs as much as a short work each time that it gives one out."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Connection | None = None

    def connection(self) -> Connection:
        if self._connection is None:
            self._connection = self._engine.connect()
        return self._connection

    def drop(self) -> None:
        """The next one is made anew where this one is in doubt, or nobody needs it any more."""
        if self._connection is not None:
            # Its pool must not give it out again: a commit that failed may have left its transaction open.
            self._connection.invalidate()
            self._connection.close()
            self._connection = None


@dataclass(frozen=True)
class _Job(Generic[ResultT]):
    work: Callable[[Connection], ResultT]
    until: float
    """When it must begin, in seconds of the monotonic clock."""
    future: asyncio.Future[ResultT]


_Answer = tuple[_Job[Any], Any, Exception | None]
"""The result of a job, or why there is none."""


def _hand_over(answers: Sequence[_Answer]) -> None:
    """Answers of one event loop, in that loop."""
    for job, result, error in answers:
        if job.future.done():
            # Its caller was cancelled.
            continue
        if error is None:
            job.future.set_result(result)
        else:
            job.future.set_exception(error)


def _answer(answers: Sequence[_Answer]) -> None:
    """Wake each event loop once: that costs more than what it is woken for."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Answer]] = {}
    for answer in answers:
        by_loop.setdefault(answer[0].future.get_loop(), []).append(answer)
    for loop, of_loop in by_loop.items():
        # One that has ended waits for no answer.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(_hand_over, of_loop)


def undo(connection: Connection) -> None:
    """Undo what the work that runs on this connection did so far: it is committed as nothing."""
    savepoint = connection.info.get(_SAVEPOINT)
    if savepoint is not None:
        savepoint.undo()
        return
    transaction = connection.get_transaction()
    assert transaction is not None, "a work runs in a transaction"
    transaction.rollback()


class _Savepoint:
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


class _GroupWriter:
    """One thread, one connection. Errors of one work undo only that work, but for those that end the transaction."""

    def __init__(self, engine: Engine, *, committed: Callable[[], None]) -> None:
        self._engine = engine
        self._committed = committed
        self._queue: SimpleQueue[_Job[Any] | None] = SimpleQueue()
        self._closing = threading.Lock()
        self._closed = False
        self._faulty = False
        self._kept = _Kept(engine)
        self._thread = threading.Thread(target=self._run, name="sql-write", daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[Connection], ResultT], *, patience_s: float) -> asyncio.Future[ResultT]:
        job = _Job(work, time.monotonic() + patience_s, asyncio.get_running_loop().create_future())
        with self._closing:
            if self._closed:
                raise DatabaseBusyError("the database is closed")
            self._queue.put(job)
        return job.future

    def close(self) -> None:
        with self._closing:
            self._closed = True
            self._queue.put(None)
        self._thread.join()
        self._kept.drop()

    def _run(self) -> None:
        while (jobs := self._next()) is not None:
            # Whoever was cancelled before its turn has nobody to answer to.
            taken = [job for job in jobs if not job.future.cancelled()]
            if taken:
                self._commit(taken)
            if len(taken) > 1:
                # Works come side by side: a commit costs as much as several of them.
                time.sleep(_GATHERING_S)

    def _next(self) -> list[_Job[Any]] | None:
        """What is to be committed together, in the order in which it came; None when all is done and closed."""
        jobs: list[_Job[Any]] = []
        while self._may_wait(jobs):
            until = min((job.until for job in jobs), default=None)
            wait_s = None if until is None else max(0.0, until - time.monotonic())
            try:
                job = self._queue.get(timeout=wait_s)
            except Empty:
                break
            if job is None:
                return self._last(jobs)
            jobs.append(job)
        with suppress(Empty):
            while len(jobs) < _MOST_AT_ONCE:
                job = self._queue.get_nowait()
                if job is None:
                    self._queue.put(None)
                    break
                jobs.append(job)
        return jobs

    @staticmethod
    def _may_wait(jobs: Sequence[_Job[Any]]) -> bool:
        now = time.monotonic()
        return len(jobs) < _MOST_PATIENT and all(job.until > now for job in jobs)

    def _last(self, jobs: list[_Job[Any]]) -> list[_Job[Any]] | None:
        """Closed: what waits is done now."""
        if not jobs:
            return None
        self._queue.put(None)
        return jobs

    def _mend(self) -> None:
        """After a fault: with a new connection, and with the log written into the database, which makes room where
        the log has filled the disk and the database needn't grow.
        """
        self._engine.dispose()
        with suppress(DBAPIError, sqlite3.Error):
            connection = self._engine.raw_connection()
            try:
                connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
            finally:
                connection.close()

    def _commit(self, jobs: Sequence[_Job[Any]]) -> None:
        answers: list[_Answer] = []
        if self._faulty:
            self._mend()
        try:
            connection = self._kept.connection()
            with connection.begin() as transaction:
                # A transaction that broke off may have left it.
                connection.info.pop(_SAVEPOINT, None)
                for job in jobs:
                    # A savepoint costs a statement; a single work has the transaction to itself.
                    unit = _Savepoint(connection) if len(jobs) > 1 else transaction
                    answers.append(self._one(unit, connection, job))
                if transaction.is_active:
                    transaction.commit()
                    self._committed()
        except IntegrityError as error:
            # A constraint that is checked at the commit: only the work that broke it fails, and no try mends that.
            self._commit_each(jobs, error)
            return
        except Exception as error:  # noqa: BLE001 # without the thread every later work would wait for ever
            why = (busy(error) if isinstance(error, DBAPIError) else None) or DatabaseBusyError(
                f"the transaction was not committed: {type(error).__name__}"
            )
            log.warning("not_committed", error=str(why), works=len(jobs))
            # A lock is another process's, and no fault of this connection.
            self._faulty = "locked" not in str(why)
            self._kept.drop()
            failed = {id(job): error for job, _, error in answers if error is not None}
            answers = [(job, None, failed.get(id(job), why)) for job in jobs]
        else:
            self._faulty = False
        _answer(answers)

    def _commit_each(self, jobs: Sequence[_Job[Any]], error: IntegrityError) -> None:
        # SQLite leaves the transaction open: the next one begins on a new connection.
        self._kept.drop()
        if len(jobs) == 1:
            _answer([(jobs[0], None, error)])
            return
        for job in jobs:
            self._commit([job])

    @staticmethod
    def _one(unit: "_Savepoint | Transaction", connection: Connection, job: _Job[Any]) -> _Answer:
        """The result, which counts only when everything is committed; or the work's own error."""
        try:
            result = job.work(connection)
            if isinstance(unit, _Savepoint):
                unit.done()
        except DBAPIError as error:
            passing = busy(error)
            if passing is not None:
                # SQLite may have ended the whole transaction: everybody in it tries again.
                raise
            unit.rollback()
            return job, None, error
        except Exception as error:  # noqa: BLE001 # it is the caller's, who gets it
            unit.rollback()
            return job, None, error
        return job, result, None

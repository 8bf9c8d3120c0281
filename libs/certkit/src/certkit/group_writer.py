"""The one writer of a SQLite database: a thread that commits together what waits, each work for itself."""

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, Final, Generic, TypeVar

import structlog
from sqlalchemy import Connection, Engine, Transaction
from sqlalchemy.exc import DBAPIError, IntegrityError

from certkit.database import DatabaseBusyError, busy
from certkit.savepoint import Savepoint, forget

__all__ = ["GroupWriter", "KeptConnection"]

log = structlog.get_logger()

ResultT = TypeVar("ResultT")

_MOST_AT_ONCE: Final = 64
_MOST_PATIENT: Final = 8
"""With so many patient works, they are company enough for each other."""
_GATHERING_S: Final = 0.008
"""So long the writer lets works gather between two commits of a burst."""


class KeptConnection:
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


class GroupWriter:
    """One thread, one connection. Errors of one work undo only that work, but for those that end the transaction."""

    def __init__(self, engine: Engine, *, committed: Callable[[], None]) -> None:
        self._engine = engine
        self._committed = committed
        self._queue: SimpleQueue[_Job[Any] | None] = SimpleQueue()
        self._closing = threading.Lock()
        self._closed = False
        self._faulty = False
        self._kept = KeptConnection(engine)
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
                forget(connection)
                for job in jobs:
                    # A savepoint costs a statement; a single work has the transaction to itself.
                    unit = Savepoint(connection) if len(jobs) > 1 else transaction
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
    def _one(unit: "Savepoint | Transaction", connection: Connection, job: _Job[Any]) -> _Answer:
        """The result, which counts only when everything is committed; or the work's own error."""
        try:
            result = job.work(connection)
            if isinstance(unit, Savepoint):
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

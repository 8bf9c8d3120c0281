"""Transactions that share a commit, on a real SQLite file."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from certkit.database import DatabaseBusyError, make_engine
from issuer.adapters.group_commit import GroupCommit

pytestmark = pytest.mark.integration


@pytest_asyncio.fixture
async def engine(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    engine = make_engine(f"sqlite:///{tmp_path / 'a.db'}")
    async with engine.begin() as connection:
        await connection.exec_driver_sql("CREATE TABLE number (n INTEGER PRIMARY KEY, text TEXT)")
    yield engine
    await engine.dispose()


@pytest.fixture
def commits(engine: AsyncEngine) -> list[int]:
    """One item for each commit."""
    seen: list[int] = []
    event.listen(engine.sync_engine, "commit", lambda _: seen.append(1))
    return seen


@pytest.fixture
def group(engine: AsyncEngine) -> GroupCommit:
    return GroupCommit(engine)


async def add(group: GroupCommit, n: int, *, fault: Exception | None = None, text: str = "") -> None:
    async with group.transaction() as connection:
        await connection.exec_driver_sql("INSERT INTO number VALUES (?, ?)", (n, text))
        if fault is not None:
            raise fault


def numbers(folder: Path) -> list[int]:
    with closing(sqlite3.connect(folder / "a.db")) as database:
        return [n for (n,) in database.execute("SELECT n FROM number ORDER BY n")]


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    with closing(sqlite3.connect(folder / "a.db", isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")
        yield
        database.execute("ROLLBACK")


async def test_what_waits_together_is_committed_together(
    group: GroupCommit, commits: list[int], tmp_path: Path
) -> None:
    await asyncio.gather(*(add(group, n) for n in range(100)))
    assert numbers(tmp_path) == list(range(100))
    assert len(commits) <= 3


async def test_a_transaction_alone_is_on_disk_when_it_ends(group: GroupCommit, tmp_path: Path) -> None:
    await add(group, 1)
    assert numbers(tmp_path) == [1]


async def test_what_one_raises_undoes_only_its_own_work(group: GroupCommit, tmp_path: Path) -> None:
    outcomes = await asyncio.gather(
        add(group, 1), add(group, 2, fault=ValueError("mine")), add(group, 1), add(group, 3), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [type(None), ValueError, IntegrityError, type(None)]
    assert numbers(tmp_path) == [1, 3]


async def test_who_is_cancelled_while_it_waits_holds_up_nobody(group: GroupCommit, tmp_path: Path) -> None:
    began, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        async with group.transaction() as connection:
            began.set()
            await go_on.wait()
            await connection.exec_driver_sql("INSERT INTO number VALUES (1, '')")

    first = asyncio.create_task(slow())
    await began.wait()
    waiting, last = asyncio.create_task(add(group, 2)), asyncio.create_task(add(group, 3))
    await asyncio.sleep(0)
    waiting.cancel()
    go_on.set()
    await asyncio.gather(first, last)
    assert waiting.cancelled()
    assert numbers(tmp_path) == [1, 3]


async def test_who_is_cancelled_in_its_work_takes_its_commit_along_and_nothing_else(
    group: GroupCommit, tmp_path: Path
) -> None:
    began = asyncio.Event()

    async def stuck() -> None:
        async with group.transaction() as connection:
            await connection.exec_driver_sql("INSERT INTO number VALUES (1, '')")
            began.set()
            await asyncio.Event().wait()

    before, cancelled = asyncio.create_task(add(group, 0)), asyncio.create_task(stuck())
    await began.wait()
    cancelled.cancel()
    after = asyncio.create_task(add(group, 2))
    outcomes = await asyncio.gather(before, cancelled, after, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [DatabaseBusyError, asyncio.CancelledError, type(None)]
    assert numbers(tmp_path) == [2]


async def test_who_is_cancelled_while_its_commit_is_awaited_holds_up_nobody(
    group: GroupCommit, engine: AsyncEngine, tmp_path: Path
) -> None:
    cancelled = asyncio.create_task(add(group, 1))
    event.listen(engine.sync_engine, "commit", lambda _: cancelled.cancel())
    outcomes = await asyncio.gather(cancelled, add(group, 2), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [asyncio.CancelledError, type(None)]
    assert numbers(tmp_path) == [1, 2]


async def test_a_lock_that_another_process_holds_is_told_to_all_who_wait(group: GroupCommit, tmp_path: Path) -> None:
    with locked(tmp_path):
        outcomes = await asyncio.gather(*(add(group, n) for n in range(5)), return_exceptions=True)
    assert [str(outcome) for outcome in outcomes] == ["the database takes no writes now: database is locked"] * 5
    await add(group, 7)
    assert numbers(tmp_path) == [7]


async def test_a_full_disk_undoes_the_commit_that_it_meets_and_is_got_over(
    engine: AsyncEngine, group: GroupCommit, tmp_path: Path
) -> None:
    pages = 6

    def bound(connection: Any, _: Any, __: Any) -> None:
        connection.driver_connection._conn.execute(f"PRAGMA max_page_count={pages}")  # noqa: SLF001 # of this connection

    event.listen(engine.sync_engine, "checkout", bound)
    outcomes = await asyncio.gather(
        add(group, 1), add(group, 2, text="x" * 100_000), add(group, 3), return_exceptions=True
    )
    full = [outcome for outcome in outcomes if outcome is not None]
    assert full
    assert all(isinstance(outcome, DBAPIError | DatabaseBusyError) for outcome in full)
    assert all("database or disk is full" in str(outcome) for outcome in full)
    written = [n for n, outcome in zip((1, 2, 3), outcomes, strict=True) if outcome is None]
    assert numbers(tmp_path) == written
    pages = 1000
    await add(group, 4, text="x" * 100_000)
    assert numbers(tmp_path) == [*written, 4]

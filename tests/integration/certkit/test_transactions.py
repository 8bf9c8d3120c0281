"""Works of a database: all or nothing, together on the disk, and readers that wait for nobody."""

import asyncio
import contextvars
import sqlite3
import threading
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio
from prometheus_client import CollectorRegistry
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError, OperationalError

from certkit.database import DatabaseBusyError
from certkit.savepoint import undo
from certkit.transactions import Database
from tests.patience import HANG_S

pytestmark = pytest.mark.integration


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "works.db"


@pytest.fixture
def metrics() -> CollectorRegistry:
    return CollectorRegistry()


@pytest_asyncio.fixture
async def database(path: Path, metrics: CollectorRegistry) -> AsyncIterator[Database]:
    made = Database(f"sqlite:///{path}", metrics=metrics)
    await made.write(lambda connection: connection.execute(text("CREATE TABLE item (name TEXT PRIMARY KEY)")))
    yield made
    await made.close()


def add(name: str, connection: Connection) -> None:
    connection.execute(text("INSERT INTO item VALUES (:name)"), {"name": name})


def names(connection: Connection) -> set[str]:
    return set(connection.execute(text("SELECT name FROM item")).scalars())


def commits(metrics: CollectorRegistry) -> float:
    found = metrics.get_sample_value("certbus_database_commits_total")
    assert found is not None
    return found


async def test_works_that_wait_are_committed_together(database: Database, metrics: CollectorRegistry) -> None:
    before = commits(metrics)
    await asyncio.gather(*(database.write(partial(add, f"n{number}")) for number in range(200)))
    assert len(await database.read(names)) == 200
    assert commits(metrics) - before < 50


async def test_a_patient_work_is_committed_with_the_next_one_in_its_turn(
    database: Database, metrics: CollectorRegistry
) -> None:
    before = commits(metrics)
    order: list[str] = []
    patient = asyncio.create_task(database.write(lambda _: order.append("patient"), patience_s=HANG_S))
    await asyncio.sleep(0)
    await database.write(lambda _: order.append("other"))
    await patient
    assert order == ["patient", "other"]
    assert commits(metrics) - before == 1


async def test_patient_works_wait_for_nobody_else_when_they_are_many(database: Database) -> None:
    works = (database.write(partial(add, f"n{number}"), patience_s=2 * HANG_S) for number in range(8))
    async with asyncio.timeout(HANG_S):
        await asyncio.gather(*works)
    assert len(await database.read(names)) == 8


async def test_a_patient_work_is_alone_when_its_time_is_up(database: Database) -> None:
    async with asyncio.timeout(HANG_S):
        await database.write(partial(add, "alone"), patience_s=0.05)
    assert await database.read(names) == {"alone"}


def add_in_vain(name: str, connection: Connection) -> None:
    add(name, connection)
    undo(connection)


async def test_a_work_that_undoes_itself_undoes_no_other(database: Database, metrics: CollectorRegistry) -> None:
    before = commits(metrics)
    patient = asyncio.create_task(database.write(partial(add, "first"), patience_s=HANG_S))
    await asyncio.sleep(0)
    in_vain = asyncio.create_task(database.write(partial(add_in_vain, "in vain"), patience_s=HANG_S))
    await asyncio.sleep(0)
    await database.write(partial(add, "last"))
    await asyncio.gather(patient, in_vain)
    assert commits(metrics) - before == 1
    assert await database.read(names) == {"first", "last"}


async def test_a_work_that_is_alone_can_undo_itself(database: Database) -> None:
    await database.write(partial(add_in_vain, "in vain"))
    await database.write(partial(add, "kept"))
    assert await database.read(names) == {"kept"}


async def test_what_waits_patiently_is_done_at_the_end(database: Database, path: Path) -> None:
    patient = asyncio.create_task(database.write(partial(add, "kept"), patience_s=2 * HANG_S))
    await asyncio.sleep(0)
    async with asyncio.timeout(HANG_S):
        await database.close()
        await patient
    with sqlite3.connect(path) as other:
        assert other.execute("SELECT name FROM item").fetchall() == [("kept",)]


async def test_a_work_that_comes_after_the_end_is_refused(database: Database) -> None:
    await database.close()
    async with asyncio.timeout(HANG_S):
        with pytest.raises(DatabaseBusyError, match="closed"):
            await database.write(partial(add, "late"))


async def test_a_work_alone_that_fails_leaves_nothing(database: Database, metrics: CollectorRegistry) -> None:
    def fail(connection: Connection) -> None:
        add("gone", connection)
        raise ValueError

    before = commits(metrics)
    with pytest.raises(ValueError):  # noqa: PT011 # whatever the work raises, its caller gets
        await database.write(fail)
    assert await database.read(names) == set()
    assert commits(metrics) == before


async def test_a_work_that_fails_undoes_only_itself(database: Database) -> None:
    def fail(connection: Connection) -> None:
        add("gone", connection)
        raise ValueError("no")

    good, bad, other = await asyncio.gather(
        database.write(lambda connection: add("a", connection)),
        database.write(fail),
        database.write(lambda connection: add("b", connection)),
        return_exceptions=True,
    )
    assert (good, str(bad), other) == (None, "no", None)
    assert await database.read(names) == {"a", "b"}


async def test_what_is_answered_is_on_the_disk(database: Database, path: Path) -> None:
    await database.write(lambda connection: add("kept", connection))
    with sqlite3.connect(path) as other:
        assert other.execute("SELECT name FROM item").fetchall() == [("kept",)]


async def test_a_reader_waits_for_no_writer_and_writes_nothing(database: Database, path: Path) -> None:
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        assert await asyncio.wait_for(database.read(names), 3) == set()
        with pytest.raises(DatabaseBusyError, match="locked"):
            await database.write(lambda connection: add("late", connection))
    finally:
        holder.execute("ROLLBACK")
        holder.close()
    with pytest.raises(OperationalError, match="readonly"):
        await database.read(lambda connection: add("never", connection))
    await database.write(lambda connection: add("again", connection))
    assert await database.read(names) == {"again"}


async def fill(database: Database) -> None:
    for number in range(2000):
        await database.write(partial(add, f"{number}" * 50))


async def test_a_full_database_refuses_and_goes_on_when_there_is_room(database: Database) -> None:
    def limit(pages: int, connection: Connection) -> None:
        connection.execute(text(f"PRAGMA max_page_count={pages}"))

    await database.write(lambda connection: limit(4, connection))
    with pytest.raises(DatabaseBusyError, match="full"):
        await fill(database)
    stored = await database.read(names)
    await database.write(lambda connection: limit(100_000, connection))
    await database.write(lambda connection: add("room", connection))
    assert await database.read(names) == {*stored, "room"}


async def test_a_work_sees_the_context_of_its_caller(database: Database) -> None:
    who = contextvars.ContextVar("who", default="nobody")
    who.set("caller")
    assert await database.write(lambda _: who.get()) == "caller"
    assert await database.read(lambda _: who.get()) == "caller"


async def test_a_caller_that_leaves_stops_nobody(database: Database) -> None:
    async def leave() -> None:
        task = asyncio.create_task(database.write(lambda connection: add("maybe", connection)))
        await asyncio.sleep(0)
        task.cancel()

    await asyncio.gather(*(leave() for _ in range(20)), return_exceptions=True)
    await database.write(lambda connection: add("after", connection))
    assert "after" in await database.read(names)


async def test_a_caller_whose_loop_has_ended_stops_nobody(database: Database) -> None:
    began, ended = threading.Event(), threading.Event()

    def wait(_: Connection) -> None:
        began.set()
        ended.wait(HANG_S)

    async def leave() -> None:
        asyncio.get_running_loop().create_task(database.write(wait))
        await asyncio.to_thread(began.wait, HANG_S)

    await asyncio.to_thread(asyncio.run, leave())
    ended.set()
    async with asyncio.timeout(HANG_S):
        await database.write(partial(add, "after"))
    assert await database.read(names) == {"after"}


async def test_a_failed_work_is_told_its_own_error_where_the_others_are_not_committed(database: Database) -> None:
    def fail(_: Connection) -> None:
        raise ValueError("no")

    def break_off(_: Connection) -> None:
        raise OperationalError("", None, sqlite3.OperationalError("disk I/O error"))

    works = (fail, partial(add, "gone"), break_off)
    patient = [asyncio.create_task(database.write(work, patience_s=0.05)) for work in works]
    own, gone, broken = await asyncio.gather(*patient, return_exceptions=True)
    assert (str(own), type(gone), type(broken)) == ("no", DatabaseBusyError, DatabaseBusyError)
    assert await database.read(names) == set()


async def test_a_work_whose_constraint_is_broken_at_the_commit_is_told_so_and_the_others_are_committed(
    database: Database,
) -> None:
    table = "CREATE TABLE part (name TEXT REFERENCES item (name) DEFERRABLE INITIALLY DEFERRED)"
    await database.write(lambda connection: connection.execute(text(table)))

    def orphan(connection: Connection) -> None:
        connection.execute(text("INSERT INTO part VALUES ('nowhere')"))

    with pytest.raises(IntegrityError):
        await database.write(orphan)
    works = (partial(add, "one"), orphan, partial(add, "two"))
    patient = [asyncio.create_task(database.write(work, patience_s=0.05)) for work in works]
    one, orphaned, two = await asyncio.gather(*patient, return_exceptions=True)
    assert (one, type(orphaned), two) == (None, IntegrityError, None)
    assert await database.read(names) == {"one", "two"}

"""What the journal knows of its database: can it be written, and what is done again."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from prometheus_client import CollectorRegistry
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from certkit.database import DatabaseBusyError
from certkit.transactions import Database
from issuer.adapters.journal_database import JournalDatabase
from tests.integration.issuer.test_journal import MIGRATIONS, on_disk

pytestmark = pytest.mark.integration

ATTEMPTS = "SELECT attempts FROM registry_epoch"


@pytest_asyncio.fixture
async def database(tmp_path: Path) -> AsyncIterator[JournalDatabase]:
    async with JournalDatabase(Database(f"sqlite:///{tmp_path / 'journal.db'}", metrics=CollectorRegistry())) as made:
        await made.upgrade(MIGRATIONS)
        yield made


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    with closing(sqlite3.connect(folder / "journal.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def nothing(_: Connection) -> None:
    pass


async def test_a_write_that_failed_is_told_until_one_is_tried_and_comes_through(
    database: JournalDatabase, tmp_path: Path
) -> None:
    assert (database.writable(), database.not_ready()) == (True, None)
    with locked(tmp_path):
        with pytest.raises(DatabaseBusyError, match="locked"):
            await database.write(nothing)
        assert (database.writable(), database.not_ready()) == (
            False,
            "the database takes no writes now: database is locked",
        )
        with pytest.raises(DatabaseBusyError, match="locked"):
            await database.try_to_write()
        assert not database.writable()
    await database.try_to_write()
    assert (database.writable(), database.not_ready()) == (True, None)
    assert on_disk(tmp_path, ATTEMPTS) == [(1,)]


async def test_trying_costs_nothing_while_others_write(database: JournalDatabase, tmp_path: Path) -> None:
    await database.try_to_write()
    await database.write(nothing)
    for _ in range(5):
        await database.try_to_write()
    assert on_disk(tmp_path, ATTEMPTS) == [(1,)]


class Overtaken(Exception):  # noqa: N818 # as psycopg's
    sqlstate = "40001"


async def test_what_another_host_overtook_is_done_again(database: JournalDatabase) -> None:
    tries = 0

    def work(_: Connection) -> int:
        nonlocal tries
        tries += 1
        if tries < 4:
            raise OperationalError("UPDATE job", {}, Overtaken())
        return tries

    assert await database.write(work) == 4


async def test_what_is_overtaken_again_and_again_is_left_for_later(database: JournalDatabase) -> None:
    def work(_: Connection) -> None:
        raise OperationalError("UPDATE job", {}, Overtaken())

    async with asyncio.timeout(60):
        with pytest.raises(DatabaseBusyError, match="others changed the same rows"):
            await database.write(work)
    # The database is as well as it was.
    assert database.writable()

"""A SQLite database on a disk of two megabytes, in a mount that its own thread alone sees."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from threading import Thread

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import Connection, text

from certkit.database import DatabaseBusyError
from certkit.transactions import Database
from tests.holds.disks import MIB, SmallDisk, mounted, private_mounts

pytestmark = pytest.mark.integration

Story = Callable[[SmallDisk], Awaitable[None]]


def play(folder: Path, story: Story) -> None:
    """Mounts stay with the thread that made them, and those that it started."""
    failures: list[BaseException] = []

    async def with_database() -> None:
        with mounted(folder, mib=2) as disk:
            async with opened(disk) as database:
                await database.write(make)
            await story(disk)

    def run() -> None:
        try:
            private_mounts()
            asyncio.run(with_database())
        except BaseException as failure:  # noqa: BLE001 # raised again in the test's own thread
            failures.append(failure)

    folder.mkdir()
    thread = Thread(target=run)
    thread.start()
    thread.join()
    for failure in failures:
        raise failure


@asynccontextmanager
async def opened(disk: SmallDisk) -> AsyncIterator[Database]:
    database = Database(f"sqlite:///{disk.folder / 'small.db'}", metrics=CollectorRegistry())
    try:
        yield database
    finally:
        await database.close()


def make(connection: Connection) -> None:
    connection.execute(text("CREATE TABLE item (n INTEGER, t TEXT)"))
    add(0, connection)


def add(number: int, connection: Connection) -> None:
    connection.execute(text("INSERT INTO item VALUES (:n, :t)"), {"n": number, "t": "x" * 200})


def count_up(connection: Connection) -> None:
    connection.execute(text("UPDATE item SET n = n + 1"))


def numbers(connection: Connection) -> list[int]:
    return sorted(connection.execute(text("SELECT n FROM item")).scalars())


async def fill(database: Database) -> list[int]:
    """Add until nothing goes in any more; returns what went in."""
    stored = [0]
    while True:
        try:
            await database.write(partial(add, len(stored)))
        except DatabaseBusyError:
            return stored
        stored.append(len(stored))


def test_the_log_of_a_small_database_never_fills_its_disk(tmp_path: Path) -> None:
    async def story(disk: SmallDisk) -> None:
        async with opened(disk) as database:
            for _ in range(2000):
                await database.write(count_up)
            assert await database.read(numbers) == [2000]
            assert disk.used() < MIB

    play(tmp_path / "disk", story)


def test_a_disk_that_the_database_filled_is_used_again_when_it_has_room(tmp_path: Path) -> None:
    async def story(disk: SmallDisk) -> None:
        async with opened(disk) as database:
            stored = await fill(database)
            disk.resize(3 * MIB)
            await database.write(partial(add, 200_000))
            assert await database.read(numbers) == [*stored, 200_000]

    play(tmp_path / "disk", story)


def test_a_log_that_can_not_grow_is_emptied_and_begun_anew(tmp_path: Path) -> None:
    async def story(disk: SmallDisk) -> None:
        async with opened(disk) as database:
            for _ in range(10):
                await database.write(count_up)
            disk.fill()
            refused = 0
            for _ in range(290):
                try:
                    await database.write(count_up)
                except DatabaseBusyError:
                    refused += 1
                    # What the log holds has its place in the database, which needn't grow for it.
                    await database.write(count_up)
            assert await database.read(numbers) == [300]
            assert refused

    play(tmp_path / "disk", story)


def test_a_disk_that_somebody_else_filled_costs_nothing_that_was_answered(tmp_path: Path) -> None:
    async def story(disk: SmallDisk) -> None:
        async with opened(disk) as database:
            disk.fill()
            stored = await fill(database)
            disk.free()
            await database.write(partial(add, 200_000))
            assert await database.read(numbers) == [*stored, 200_000]

    play(tmp_path / "disk", story)

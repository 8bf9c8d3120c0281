"""New events are read once for all who follow, and by nobody else."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import pytest
import pytest_asyncio
from prometheus_client import CollectorRegistry

import registry
from certkit.transactions import Database
from registry.adapters.outbox import Bell
from registry.adapters.store import Store, Transaction
from registry.handlers.feed import Feed
from tests.patience import HANG_S
from tests.unit.registry.announcing import announce

pytestmark = pytest.mark.asyncio

ResultT = TypeVar("ResultT")
MIGRATIONS = Path(registry.__file__).parent / "migrations"


class CountingStore(Store):
    reads = 0

    async def read(self, work: Callable[[Transaction], ResultT]) -> ResultT:
        self.reads += 1
        return await super().read(work)


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[CountingStore]:
    database = Database(f"sqlite:///{tmp_path / 'registry.db'}", metrics=CollectorRegistry())
    await database.upgrade(MIGRATIONS)
    yield CountingStore(database)
    await database.close()


def commit(event_id: str) -> Callable[[Transaction], None]:
    return lambda transaction: announce(transaction, event_id)


async def test_events_are_read_while_somebody_follows_and_not_otherwise(store: CountingStore) -> None:
    bell = Bell()
    feed = Feed(store=store, bell=bell)
    running = asyncio.create_task(feed.run())
    heard: list[str] = []

    async def hear(wanted: str) -> None:
        cursor = 0
        with feed.following():
            async with asyncio.timeout(HANG_S):
                while wanted not in heard:
                    for event in await feed.after(cursor, limit=100):
                        heard.append(event.id)
                        cursor = event.sequence
                    if wanted not in heard:
                        await feed.wait()

    try:
        await store.write(commit("before"))
        for _ in range(10):
            bell.ring()
            await asyncio.sleep(0)
        assert store.reads == 0, "nobody follows"
        following = asyncio.create_task(hear("second"))
        for event_id in ("first", "second"):
            await store.write(commit(event_id))
            bell.ring()
        await following
        assert heard == ["before", "first", "second"]
        await hear("second")
        await store.write(commit("third"))
        await hear("third")
        assert heard[-1] == "third"
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running

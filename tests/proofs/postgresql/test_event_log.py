"""Events that are committed in any order, told by two registries that are killed: each once, in one order."""

import asyncio
import os
import random
import time
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path
from typing import Final

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import Connection, text

from certcore.api import Role
from certkit.background import end_tasks
from certkit.transactions import Database
from registry.adapters.store import Transaction
from tests.integration.registry.bus import eventually
from tests.proofs.postgresql.following import Follower
from tests.registry_pair import registry_pair
from tests.unit.registry.announcing import announce

_AT_ONCE: Final = 8
_KILL_EVERY_S: Final = 10.0
_PAUSES: Final = 0.1
_MOST: Final = 40
_LONGEST_PAUSE_S: Final = 0.004


class _ChangedItsMindError(Exception):
    pass


class _Writers:
    """They pause within their transactions, and one in five gives up: numbers are committed in any order."""

    def __init__(self, number: int, chance: random.Random) -> None:
        self._number = number
        self._chance = chance
        self._ids = count(1)
        self._written = 0

    async def run(self, database: Database) -> None:
        while self._written < self._number:
            events = [f"told-{next(self._ids)}" for _ in range(self._chance.randrange(1, _MOST))]
            with suppress(_ChangedItsMindError):
                await database.write(partial(self._write, events))
                self._written += len(events)

    def _write(self, events: list[str], connection: Connection) -> None:
        transaction = Transaction(connection)
        for event_id in events:
            announce(transaction, event_id, sent=True)
            if self._chance.random() < _PAUSES:
                pause_s = self._chance.random() * _LONGEST_PAUSE_S
                connection.execute(text("SELECT pg_sleep(:s)"), {"s": pause_s})
        if len(events) % 5 == 0:
            raise _ChangedItsMindError


async def test_of_many_events_none_is_missed_and_none_comes_twice(tmp_path: Path, seed: int) -> None:
    writers = _Writers(int(os.environ.get("EVENTS", "100000")), random.Random(seed))
    async with registry_pair(tmp_path, seed=seed) as pair:
        op, began = await pair.person("op", Role.OPERATOR, owner="platform"), time.monotonic()
        followers = [Follower(pair, op, first=place) for place in range(2)]
        tasks = [asyncio.create_task(follower.run()) for follower in followers]
        databases = [Database(pair.database_url, metrics=CollectorRegistry()) for _ in range(2)]
        killing = asyncio.create_task(pair.killing(every_s=_KILL_EVERY_S))
        await asyncio.gather(*(writers.run(databases[place % 2]) for place in range(_AT_ONCE)))
        await end_tasks([killing])
        await pair.all_run()
        for database in databases:
            await database.close()
        log = [str(row["id"]) for row in pair.rows("SELECT id FROM event ORDER BY sequence")]

        async def told() -> bool:
            return all(len(follower.ids) >= len(log) for follower in followers)

        # What is missed never comes: the figures show it.
        with suppress(AssertionError):
            await eventually(told, what="the last event's telling")
        await end_tasks(tasks)
        print(f"\n{len(log)} events, {pair.kills} kills, {time.monotonic() - began:.0f} s, seed {seed}")
        for follower in followers:
            missed, twice = len(set(log) - set(follower.ids)), len(follower.ids) - len(set(follower.ids))
            print(f"{missed} missed, {twice} twice, {follower.lost} connections lost")
        if [follower.ids for follower in followers] != [log, log]:
            pytest.fail("not every event was told once, in its order")

"""Work that is always the same, measured in CPU: figures of two days compare by what it took on each.

A millisecond of CPU is worth less while other processes use the same cores; what it takes meanwhile tells how much.
"""

import asyncio
import hashlib
import json
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from typing import Final

__all__ = ["yardstick", "yardstick_ms"]

_EVERY_S: Final = 1.0
_ROWS: Final = 40
_TIMES: Final = 4


def yardstick_ms() -> float:
    """CPU of this thread for JSON, a digest, a sort and a transaction, the kinds of work that a registry does."""
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute("CREATE TABLE thing (name TEXT PRIMARY KEY, body TEXT, size INTEGER)")
        database.execute("CREATE INDEX by_size ON thing (size, name)")
        database.commit()
        began = time.thread_time()
        for turn in range(_TIMES):
            _work(database, turn)
        return 1000 * (time.thread_time() - began)


def _work(database: sqlite3.Connection, turn: int) -> None:
    things = [
        {"name": f"{turn}-{number}", "parts": list(range(number)), "of": "yardstick"} for number in range(_ROWS)
    ]
    bodies = [json.dumps(thing, sort_keys=True) for thing in things]
    digests = sorted(hashlib.sha256(body.encode()).hexdigest() for body in bodies)
    with database:
        rows = [(digest, body, len(body)) for digest, body in zip(digests, bodies, strict=True)]
        database.executemany("INSERT INTO thing VALUES (?, ?, ?)", rows)
        database.execute("UPDATE thing SET size = size + 1 WHERE size > ?", (_ROWS,))
    found = database.execute("SELECT body FROM thing ORDER BY size DESC, name LIMIT ?", (_ROWS,)).fetchall()
    assert all(json.loads(body)["of"] == "yardstick" for (body,) in found)


@asynccontextmanager
async def yardstick() -> AsyncIterator[list[float]]:
    """What the work took, once a second while this is entered, and once at least; a hundredth of a core."""
    taken: list[float] = []

    async def measure() -> None:
        while True:
            taken.append(await asyncio.to_thread(yardstick_ms))
            await asyncio.sleep(_EVERY_S)

    measuring = asyncio.create_task(measure())
    try:
        yield taken
    finally:
        measuring.cancel()
        with suppress(asyncio.CancelledError):
            await measuring
        if not taken:
            taken.append(yardstick_ms())

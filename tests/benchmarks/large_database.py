"""A registry database with very many certificates, filled once: its copies are what benchmarks read and change."""

import asyncio
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import func, select

from registry.adapters import tables
from tests.integration.registry.many_rows import ManyRows, copyable
from tests.integration.registry.world import MIGRATIONS, a_database

__all__ = ["a_copy", "filled"]


async def filled(path: Path, number: int) -> datetime:
    """Fill a new database at this path; returns when its certificates were made."""
    database, now = a_database(f"sqlite:///{path}"), datetime.now(UTC)
    try:
        await database.upgrade(MIGRATIONS)
        rows = ManyRows(copyable(database, now=now))
        await rows.begin()
        await rows.up_to(number)
    finally:
        await database.close()
    return now


async def a_copy(folder: Path, path: Path, number: int) -> datetime:
    """Put a copy at this path of the one that `folder` keeps, which is filled where there is none; returns when its
    certificates were made. An older one gets the newest schema.
    """
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    kept = folder / f"{number}.db"
    if not kept.exists():
        began, new = time.monotonic(), kept.with_suffix(".new")
        new.unlink(missing_ok=True)
        await filled(new, number)
        new.rename(kept)
        print(f"{number} stored in {time.monotonic() - began:.0f} s: {kept}", flush=True)
    shutil.copyfile(kept, path)
    database = a_database(f"sqlite:///{path}")
    try:
        await database.upgrade(MIGRATIONS)
        made = select(func.max(tables.site.c.enrolled_at))
        now: datetime = await database.read(lambda connection: connection.execute(made).scalar_one())
    finally:
        await database.close()
    return now

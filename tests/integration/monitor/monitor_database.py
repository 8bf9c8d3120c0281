"""A monitor's database in a folder."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry

import monitor
from certkit.transactions import Database

__all__ = ["MIGRATIONS", "monitor_database"]

MIGRATIONS: Final = Path(monitor.__file__).parent / "migrations"


@asynccontextmanager
async def monitor_database(folder: Path, metrics: CollectorRegistry | None = None) -> AsyncIterator[Database]:
    """With the newest schema."""
    database = Database(f"sqlite:///{folder}/monitor.db", metrics=metrics or CollectorRegistry())
    try:
        await database.upgrade(MIGRATIONS)
        yield database
    finally:
        await database.close()

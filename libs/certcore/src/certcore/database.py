"""One way to a SQL database: SQLite made durable, or PostgreSQL; the schema is brought up by alembic."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, MetaData, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

__all__ = ["NAMING", "make_engine", "upgrade"]

NAMING: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
).naming_convention
"""Named constraints, so that migrations can speak of them on every database."""


def make_engine(url: str) -> AsyncEngine:
    """An engine for `sqlite+aiosqlite:///…` or `postgresql+asyncpg://…`.

    SQLite gets WAL, synchronous=FULL (what is committed survives a power cut), foreign keys, and write
    transactions that take their lock at the start, so that two never deadlock on an upgrade.
    """
    engine = create_async_engine(url, pool_pre_ping=not url.startswith("sqlite"))
    if engine.dialect.name == "sqlite":
        event.listen(engine.sync_engine, "connect", _on_connect)
        event.listen(engine.sync_engine, "begin", _on_begin)
    return engine


def _on_connect(connection: Any, _: Any) -> None:
    # The driver's own BEGIN would come late and deferred: `_on_begin` writes it instead.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=10000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _on_begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


async def upgrade(engine: AsyncEngine, migrations: Path) -> None:
    """Bring the schema to the newest version of the `migrations` folder."""
    configuration = Config()
    configuration.set_main_option("script_location", str(migrations))

    def run(connection: Connection) -> None:
        configuration.attributes["connection"] = connection
        command.upgrade(configuration, "head")

    async with engine.begin() as connection:
        await connection.run_sync(run)


def run_migrations(
    configuration: Config, metadata: MetaData, configure: Callable[..., None], run: Callable[[], None]
) -> None:
    """The whole of a migrations folder's env.py."""
    configure(connection=configuration.attributes["connection"], target_metadata=metadata, render_as_batch=True)
    run()

"""One way to a SQL database: SQLite made durable, or PostgreSQL; the schema is brought up by alembic."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import (
    BigInteger,
    Connection,
    DateTime,
    Dialect,
    Integer,
    MetaData,
    TypeDecorator,
    event,
    inspect,
    text,
)
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

if TYPE_CHECKING:
    from alembic.config import Config

__all__ = ["NAMING", "SEQUENCE", "UtcDateTime", "make_engine", "run_migrations", "upgrade"]

NAMING: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
).naming_convention
"""Named constraints, so that migrations can speak of them on every database."""


SEQUENCE: Final = BigInteger().with_variant(Integer, "sqlite")
"""Type of a primary key that counts by itself: SQLite does that only for INTEGER."""


class UtcDateTime(TypeDecorator[datetime]):
    """Aware in, aware out: SQLite keeps no time zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 # base
        return value.astimezone(UTC) if value is not None else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 # base
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


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
    """Bring the schema to the newest version of the `migrations` folder, whose files start with their version."""
    newest = max(path.name.partition("_")[0] for path in (migrations / "versions").glob("[0-9]*.py"))

    def run(connection: Connection) -> None:
        if _version(connection) == newest:
            return
        # Imported only where there is something to do: it costs every start as much as the web framework.
        from alembic import command  # noqa: PLC0415
        from alembic.config import Config  # noqa: PLC0415

        configuration = Config()
        configuration.set_main_option("script_location", str(migrations))
        configuration.attributes["connection"] = connection
        command.upgrade(configuration, "head")

    async with engine.begin() as connection:
        await connection.run_sync(run)


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    return found


def run_migrations(
    configuration: "Config", metadata: MetaData, configure: Callable[..., None], run: Callable[[], None]
) -> None:
    """The whole of a migrations folder's env.py."""
    configure(connection=configuration.attributes["connection"], target_metadata=metadata, render_as_batch=True)
    run()

"""One way to a SQL database: SQLite made durable, or PostgreSQL; the schema is brought up by alembic."""

import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import (
    JSON,
    URL,
    BigInteger,
    Connection,
    DateTime,
    Dialect,
    Engine,
    FromClause,
    Integer,
    MetaData,
    TypeDecorator,
    create_engine,
    event,
    inspect,
    make_url,
    text,
)
from sqlalchemy.dialects.sqlite.base import SQLiteCompiler
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.pool import ConnectionPoolEntry

from certcore.errors import OwnFaultError
from certkit.prepared import driven

if TYPE_CHECKING:
    from alembic.config import Config

__all__ = [
    "NAMING",
    "SEQUENCE",
    "DatabaseBusyError",
    "StoredJson",
    "UtcDateTime",
    "busy",
    "folder_of",
    "is_newest",
    "make_engine",
    "pages_before_checkpoint",
    "run_migrations",
    "schema_versions",
    "upgrade_schema",
    "was_overtaken",
]

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

    def bind_processor(self, dialect: Dialect) -> Callable[[datetime | None], Any] | None:
        return _to_text if dialect.name == "sqlite" else super().bind_processor(dialect)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], datetime | None] | None:
        return _from_text if dialect.name == "sqlite" else super().result_processor(dialect, coltype)

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 # base
        return value.astimezone(UTC) if value is not None else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 # base
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _to_text(value: datetime | None) -> str | None:
    # As SQLAlchemy stores it in SQLite, which keeps texts; its own way costs several times as much.
    return value.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds") if value is not None else None


def _from_text(value: str | None) -> datetime | None:
    return datetime.fromisoformat(value).replace(tzinfo=UTC) if value is not None else None


class DatabaseBusyError(OwnFaultError):
    """The database takes no writes now: it is locked, its disk is full, or its server is away."""


_PASSES: Final = ("locked", "busy", "full", "disk i/o error", "readonly", "unable to open")
"""In SQLite's messages: what may pass. Anything else is a fault in a statement."""


def was_overtaken(error: DBAPIError) -> bool:
    """Whether PostgreSQL refused a change since another transaction changed the same rows: do it again."""
    return getattr(error.orig, "sqlstate", None) in {"40001", "40P01"}


def busy(error: DBAPIError) -> DatabaseBusyError | None:
    """What may pass, without the statement and its values; None where the statement is at fault."""
    cause = str(error.orig).partition("\n")[0][:120]
    sqlite = type(error.orig).__module__.startswith("sqlite3")
    if error.connection_invalidated or (sqlite and any(word in cause.lower() for word in _PASSES)):
        return DatabaseBusyError(f"the database takes no writes now: {cause}")
    # Classes 08 (connection), 53 (resources), 55P03 (lock not available), 57P (shutdown) of PostgreSQL.
    state = getattr(error.orig, "sqlstate", None) or ""
    if state[:2] in {"08", "53"} or state == "55P03" or state[:3] == "57P":
        return DatabaseBusyError(f"the database takes no statements now: {cause}")
    if type(error.orig).__name__ == "OperationalError" and not sqlite and not state:
        return DatabaseBusyError("the database server can't be reached")
    return None


class StoredJson(TypeDecorator[Any]):
    """JSON; a text that is none is read as None, so that one broken row breaks no list."""

    impl = JSON
    cache_ok = True

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any] | None:
        read = super().result_processor(dialect, coltype)
        if read is None:
            return None

        def tolerant(value: Any) -> Any:
            try:
                return read(value)
            except (ValueError, RecursionError):
                return None

        return tolerant


def make_engine(url: str, *, read_only: bool = False, pool_size: int = 4) -> Engine:
    """An engine for `sqlite:///…` or `postgresql://…`, whatever driver the URL names, for threads.

    SQLite gets WAL, synchronous=FULL (what is committed survives a power cut), foreign keys, and write
    transactions that take their lock at the start, so that two never deadlock on an upgrade. Each transaction sees
    one state of the database. With `read_only` it waits for no writer and can write nothing.
    """
    wanted = _with_driver(url)
    if not _is_sqlite(wanted):
        engine = create_engine(
            wanted,
            pool_size=pool_size,
            max_overflow=0,
            isolation_level="REPEATABLE READ",
            connect_args={"options": _BOUNDS},
            execution_options={"postgresql_readonly": True} if read_only else {},
        )
        event.listen(engine, "checkin", _used)
        event.listen(engine, "checkout", partial(_look_unless_just_used, engine.dialect))
        return engine
    engine = create_engine(wanted, pool_size=pool_size, max_overflow=0)
    engine.dialect.statement_compiler = _HintedCompiler
    event.listen(engine, "connect", _on_connect_reading if read_only else _on_connect)
    event.listen(engine, "begin", _begin_reading if read_only else _begin_writing)
    return engine


_JUST_S: Final = 1.0
"""A connection that was used so lately is believed to be there: to ask costs as much as a statement."""
_USED: Final = "certkit.used"


def _used(_: object, record: ConnectionPoolEntry) -> None:
    record.info[_USED] = time.monotonic()


def _look_unless_just_used(dialect: Dialect, connection: Any, record: ConnectionPoolEntry, _: object) -> None:
    used = record.info.get(_USED)
    if used is None or time.monotonic() - used < _JUST_S:
        return
    try:
        dialect.do_ping(connection)
    except dialect.loaded_dbapi.Error as error:
        # The pool makes another one.
        raise DisconnectionError(str(error)) from error


_BOUNDS: Final = " ".join(
    f"-c {name}={value}"
    for name, value in {
        # So long a process that stands still in a transaction may hold up the others.
        "lock_timeout": "60s",
        "idle_in_transaction_session_timeout": "60s",
        # One whose host is gone is found out within 11 seconds.
        "tcp_keepalives_idle": "5",
        "tcp_keepalives_interval": "2",
        "tcp_keepalives_count": "3",
    }.items()
)
"""Of a session of PostgreSQL."""


class _HintedCompiler(SQLiteCompiler):
    """With the hints of `with_hint`, of which SQLite has INDEXED BY: it keeps no statistics to choose an index by."""

    def get_from_hint_text(self, table: FromClause, text: str | None) -> str | None:  # noqa: ARG002 # base
        return text


def _with_driver(url: str) -> URL:
    parsed = make_url(url)
    return parsed.set(drivername="sqlite" if _is_sqlite(parsed) else "postgresql+psycopg")


def _is_sqlite(url: URL) -> bool:
    return url.get_backend_name() == "sqlite"


_PRAGMAS: Final = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
    "busy_timeout=5000",
    # What one large transaction made of the log is given back.
    "journal_size_limit=67108864",
)


_PAGE: Final = 4096
_MOST_PAGES: Final = 1000
_FEWEST_PAGES: Final = 16
_PART_OF_ROOM: Final = 8


def pages_before_checkpoint(free_bytes: int) -> int:
    """How long SQLite's log may become before it is written into the database: as is usual, but on a small disk not
    more than a part of the room. A log that fills the disk leaves none for the pages that would empty it.
    """
    return max(_FEWEST_PAGES, min(_MOST_PAGES, free_bytes // _PART_OF_ROOM // _PAGE))


def _on_connect(connection: Any, _: Any) -> None:
    # The driver's own BEGIN would come late and deferred: `_begin_writing` writes it instead.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.execute("PRAGMA database_list")
    file = cursor.fetchall()[0][2]
    if file:
        free = shutil.disk_usage(Path(file).parent).free
        cursor.execute(f"PRAGMA wal_autocheckpoint={pages_before_checkpoint(free)}")
    cursor.close()


_READ_CACHE_KIB: Final = 8000
"""Pages that a reader keeps: those of a list that counts a thousand rows fit into it, and not into the usual 2 MB."""


def _on_connect_reading(connection: Any, _: Any) -> None:
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("query_only=ON", "busy_timeout=5000", f"cache_size=-{_READ_CACHE_KIB}"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_writing(connection: Connection) -> None:
    driven(connection, "BEGIN IMMEDIATE")


def _begin_reading(connection: Connection) -> None:
    driven(connection, "BEGIN")


def upgrade_schema(connection: Connection, migrations: Path) -> None:
    """Bring the schema to the newest version of the `migrations` folder, whose files start with their version."""
    if is_newest(connection, migrations):
        return
    # Imported only where there is something to do: it costs every start as much as the web framework.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    configuration = Config()
    configuration.set_main_option("script_location", str(migrations))
    configuration.attributes["connection"] = connection
    command.upgrade(configuration, "head")


def is_newest(connection: Connection, migrations: Path) -> bool:
    """Whether the schema has the newest version of the `migrations` folder."""
    return _version(connection) == max(schema_versions(migrations))


def schema_versions(migrations: Path) -> list[str]:
    """All versions of the `migrations` folder."""
    return sorted(path.name.partition("_")[0] for path in (migrations / "versions").glob("[0-9]*.py"))


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


def folder_of(database_url: str) -> Path | None:
    """The folder of a SQLite database; None for one that another machine keeps, or memory."""
    url = make_url(database_url)
    if url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:":
        return None
    return Path(url.database).parent

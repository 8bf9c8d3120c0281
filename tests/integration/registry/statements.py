"""Which statements are executed."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, event

__all__ = ["counted", "scanned"]


@contextmanager
def counted() -> Iterator[list[str]]:
    """The statements that are executed meanwhile."""
    statements: list[str] = []

    def note(_conn: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(Engine, "before_cursor_execute", note)


@contextmanager
def scanned(connection: Connection) -> Iterator[set[str]]:
    """The tables of SQLite that are looked through from one end to the other meanwhile."""
    tables: set[str] = set()

    def note(_conn: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        cursor = raw.cursor()
        steps = cursor.execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()
        tables.update(step[3].split()[1] for step in steps if step[3].startswith("SCAN "))

    raw: Any = connection.connection.dbapi_connection
    event.listen(connection, "before_cursor_execute", note)
    try:
        yield tables
    finally:
        event.remove(connection, "before_cursor_execute", note)

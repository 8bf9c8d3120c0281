"""The two forms of statement that several nouns need."""

from typing import Any

from sqlalchemy import Table, and_, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

__all__ = ["exists", "put"]


async def exists(connection: AsyncConnection, table: Table, key: dict[str, str]) -> bool:
    """Whether a row has these values."""
    query = select(func.count()).select_from(table).where(and_(*(table.c[name] == key[name] for name in key)))
    return (await connection.execute(query)).scalar_one() > 0


async def put(connection: AsyncConnection, table: Table, values: dict[str, Any], key: tuple[str, ...]) -> None:
    """Update the row with this key, or insert it."""
    condition = and_(*(table.c[name] == values[name] for name in key))
    changed = await connection.execute(update(table).where(condition).values(values))
    if changed.rowcount == 0:
        await connection.execute(insert(table).values(values))

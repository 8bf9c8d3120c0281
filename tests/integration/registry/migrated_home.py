"""A database that was brought from the first schema to the present one."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, String, inspect, select

from certkit.transactions import Database
from registry.adapters import tables
from registry.domain.rollout import Rollout
from tests.integration.registry.first_schema import Before, before, fill
from tests.integration.registry.world import MIGRATIONS, World, a_database

__all__ = ["Home", "is_longer", "migrated", "of", "shape", "to_first_schema"]


def is_longer(difference: Any) -> bool:
    """Whether columns differ only in their length."""
    return isinstance(difference, list) and all(
        change[0] == "modify_type" and isinstance(change[5], String) and isinstance(change[6], String)
        for change in difference
    )


class Home:
    """A database that was brought from the first schema to the present one."""

    def __init__(self, database: Database, stored: Before, took_s: float) -> None:
        self.database = database
        self.stored = stored
        self.took_s = took_s
        self.world = World(database, ids="new")

    async def rows(self, table: str) -> list[dict[str, Any]]:
        query = select(tables.metadata.tables[table])
        return await self.database.read(lambda connection: [row._asdict() for row in connection.execute(query)])

    async def rollout(self, name: str) -> Rollout:
        certificate_id = self.stored.certificate(name)["id"]
        found = await self.world.store.read(lambda transaction: transaction.rollouts.get(certificate_id))
        assert found is not None
        return found


def of(connection: Connection) -> Config:
    configuration = Config()
    configuration.set_main_option("script_location", str(MIGRATIONS))
    configuration.attributes["connection"] = connection
    return configuration


def to_first_schema(connection: Connection) -> None:
    command.upgrade(of(connection), "0001")


def shape(connection: Connection) -> set[tuple[str, str | None]]:
    """Columns and indexes, each with its table."""
    found = inspect(connection)
    return {
        (table, one["name"])
        for table in found.get_table_names()
        for one in (*found.get_indexes(table), *found.get_columns(table))
    }


@asynccontextmanager
async def migrated(url: str, *, many: int) -> AsyncIterator[Home]:
    made, stored = a_database(url), before(many=many)

    def first(connection: Connection) -> None:
        to_first_schema(connection)
        fill(connection, stored)

    try:
        await made.write(first)
        began = time.monotonic()
        await made.upgrade(MIGRATIONS)
        yield Home(made, stored, time.monotonic() - began)
    finally:
        await made.close()

"""From every version of the schema to the present one, with rows in it, on both kinds of database."""

from pathlib import Path
from typing import Any

import pytest
from alembic import command
from sqlalchemy import Connection, MetaData, select

from tests.integration.registry.first_schema import Before, before, fill
from tests.integration.registry.migrated_home import of, to_first_schema
from tests.integration.registry.world import MIGRATIONS, a_database
from tests.postgres_server import postgres

_VERSIONS = sorted(path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))
_FEW = 20
_MADE_ANEW = {"epoch": {"database_id"}, "audit": {"time", "hash", "previous"}}
"""A migration gives the database an id of its own, and notes when it chained the audit."""


def _rows(connection: Connection) -> dict[str, list[str]]:
    found = MetaData()
    found.reflect(connection)
    return {
        table.name: sorted(
            repr(sorted(item for item in row._asdict().items() if item[0] not in _MADE_ANEW.get(table.name, ())))
            for row in connection.execute(select(table))
        )
        for table in found.sorted_tables
    }


async def _up_from(url: str, version: str, stored: Before) -> dict[str, Any]:
    made = a_database(url)

    def stop(connection: Connection) -> None:
        to_first_schema(connection)
        fill(connection, stored)
        command.upgrade(of(connection), version)

    try:
        await made.write(stop)
        await made.upgrade(MIGRATIONS)
        return await made.read(_rows)
    finally:
        await made.close()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_each_version_with_rows_is_brought_to_the_same_present_one(kind: str, tmp_path: Path) -> None:
    async with postgres() as server:

        async def url(version: str) -> str:
            if kind == "sqlite":
                return f"sqlite:///{tmp_path / version}.db"
            return await server.database(f"from_{version}")

        stored = before(many=_FEW)
        found = {version: await _up_from(await url(version), version, stored) for version in _VERSIONS}
    straight = found[_VERSIONS[0]]
    assert sum(map(len, straight.values())) > 100
    for version in _VERSIONS:
        assert found[version] == straight, version
    print(f"\n{kind}: from {len(_VERSIONS)} versions to {_VERSIONS[-1]}, {sum(map(len, straight.values()))} rows")

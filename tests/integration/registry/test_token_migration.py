"""Tokens that are there when the registry learns whose they are."""

from functools import partial
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import Connection

from registry.adapters.store import Store, Transaction
from registry.domain.access import Principal
from tests.integration.registry.first_schema import before, fill
from tests.integration.registry.migrated_home import of
from tests.integration.registry.world import MIGRATIONS, NOON, a_database

pytestmark = pytest.mark.integration


async def test_tokens_go_on_and_are_known_by_who_made_them(tmp_path: Path) -> None:
    database, stored = a_database(f"sqlite:///{tmp_path / 'registry.db'}"), before(many=0)

    def first(connection: Connection) -> None:
        command.upgrade(of(connection), "0001")
        fill(connection, stored)

    def opens(sha256: str, transaction: Transaction) -> Principal | None:
        return transaction.tokens.principal(sha256, NOON)

    try:
        await database.write(first)
        await database.upgrade(MIGRATIONS)
        store = Store(database)
        found = {row["subject"]: await store.read(partial(opens, row["sha256"])) for row in stored.rows["token"]}
        made = {
            subject: (who.kind, sorted(who.roles), who.made_by, who.owner) for subject, who in found.items() if who
        }
        assert made == {
            "admin": ("person", ["admin", "operator"], (), "platform"),
            "olga": ("person", ["operator"], ("admin",), "platform"),
            "site1-syncer": ("service", ["deliverer"], (), "certbus"),
            "page": ("session", ["auditor", "viewer"], (), "page"),
        }
        assert len({who.token_id for who in found.values() if who}) == len(stored.rows["token"])
        assert await store.read(lambda transaction: transaction.tokens.party("olga").made_by) == {"admin"}
        listed = await store.read(lambda transaction: transaction.tokens.page(now=NOON, limit=9))
        assert {token.expires_at for token in listed} == {None}
    finally:
        await database.close()

"""No route costs more statements with a thousand certificates than with ten."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final

import httpx
import pytest

from certcore.api import Role
from registry.adapters.store import Transaction
from registry.domain.access import Principal
from registry.handlers.http.auth import hash_token
from tests.integration.registry.costs import routed
from tests.integration.registry.many_rows import ManyRows, copyable, name_of
from tests.integration.registry.statements import counted
from tests.integration.registry.world import MIGRATIONS, NOON, World, a_database

pytestmark = pytest.mark.integration

UNDER_WAY: Final = 1
FEW: Final = 14
MANY: Final = 1000
MOST: Final = 17
"""Statements of one answer, the look at the token among them."""

SITE: Final = "site-3"
LIVE: Final = name_of(14)
"""The first live one of that site."""
TOKENS: Final = {
    "person": Principal("pat", "shop", frozenset({Role.VIEWER, Role.OPERATOR, Role.APPROVER, Role.AUDITOR})),
    "issuer": Principal("issuer", "certbus", frozenset({Role.ISSUER})),
    "syncer": Principal(f"{SITE}-syncer", "certbus", frozenset({Role.DELIVERER}), SITE, "syncer"),
    "monitor": Principal("monitor", "certbus", frozenset({Role.MONITOR})),
}
CALLERS: Final = {
    "/v1/orders": "issuer",
    "/v1/deployments": "syncer",
    "/v1/csrs": "syncer",
    "/v1/bundles/{certificate_id}/{revision}": "syncer",
    "/v1/expectations": "monitor",
}
NO_ROWS: Final = {"/assets/{name}", "/sign-in"}
PAGED: Final = {"/v1/certificates", "/v1/requests", "/v1/deployments", "/v1/csrs", "/v1/expectations", "/v1/orders"}


@asynccontextmanager
async def growing(folder: Path) -> AsyncIterator[tuple[World, ManyRows]]:
    database = a_database(f"sqlite:///{folder / 'routes.db'}")
    try:
        await database.upgrade(MIGRATIONS)
        made = copyable(database, now=NOON)
        yield made, ManyRows(made)
    finally:
        await database.close()


async def costs(made: World, client: httpx.AsyncClient, paths: Iterable[str]) -> dict[str, int]:
    [request] = await made.store.read(lambda transaction: transaction.requests.page(limit=1))
    shown = await client.get(f"/v1/certificates/{LIVE}", headers={"authorization": "Bearer person"})
    values = {
        "/sites/{name}": f"/sites/{SITE}",
        "{name}": LIVE,
        "{request_id}": request.id,
        "{certificate_id}": shown.json()["id"],
        "{revision}": "1",
    }
    found = {}
    for path in sorted(paths):
        url = path
        for name, value in values.items():
            url = url.replace(name, value)
        query = {"limit": "500"} if path in PAGED else {}
        headers = {"authorization": f"Bearer {CALLERS.get(path, 'person')}"}
        with counted() as statements:
            response = await client.get(url, params=query, headers=headers)
        assert response.status_code == 200, (path, response.text)
        found[path] = len([statement for statement in statements if not statement.startswith("BEGIN")])
    return found


async def test_no_route_costs_more_with_a_thousand_certificates_than_with_ten(tmp_path: Path) -> None:
    def let_in(transaction: Transaction) -> None:
        for token, principal in TOKENS.items():
            transaction.tokens.add(hash_token(token), principal, now=NOON)

    async with growing(tmp_path) as (made, rows):
        await rows.begin(under_way=UNDER_WAY)
        await made.store.write(let_in)
        registry, paths = routed(made)
        paths -= NO_ROWS
        assert paths >= PAGED
        transport = httpx.ASGITransport(app=registry)
        async with httpx.AsyncClient(transport=transport, base_url="http://registry") as client:
            await rows.up_to(FEW)
            few = await costs(made, client, paths)
            await rows.up_to(MANY)
            # The page counts placements now and then.
            made.now += timedelta(minutes=1)
            many = await costs(made, client, paths)
    assert many == few
    assert max(few.values()) <= MOST, few

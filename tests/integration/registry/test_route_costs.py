"""No route costs more statements with a thousand certificates than with ten."""

from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Final

import httpx
import pytest
import pytest_asyncio

from certcore.api import Role
from registry.adapters.store import Transaction
from registry.domain.access import Principal
from registry.handlers.http.auth import hash_token
from tests.authority import Authority
from tests.integration.registry.costs import routed
from tests.integration.registry.statements import counted
from tests.integration.registry.world import NOON, SPEC, World, schema, world

pytestmark = pytest.mark.integration

FEW: Final = 10
MANY: Final = 1000
MOST: Final = 15
"""Statements of one answer, the look at the token among them."""

TOKENS: Final = {
    "person": Principal("pat", "shop", frozenset({Role.VIEWER, Role.OPERATOR, Role.APPROVER, Role.AUDITOR})),
    "issuer": Principal("issuer", "certbus", frozenset({Role.ISSUER})),
    "syncer": Principal("site1-syncer", "certbus", frozenset({Role.DELIVERER}), "site1", "syncer"),
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


@pytest_asyncio.fixture
async def made(tmp_path: Path) -> AsyncIterator[World]:
    async with world(await schema(tmp_path), "routes") as found:
        yield found


async def stored(made: World, number: int, authority: Authority) -> None:
    """So many certificates in all; every second one is issued, the others are ordered."""
    have = len(await made.store.read(lambda transaction: transaction.certificates.ids(limit=MANY)))
    for index in range(have, number):
        made.certificate_id = await made.submit(SPEC.model_copy(update={"name": f"app-{index}"}))
        if index % 2:
            await made.issue(authority)


async def costs(made: World, client: httpx.AsyncClient, paths: Iterable[str]) -> dict[str, int]:
    [request] = await made.store.read(lambda transaction: transaction.requests.page(limit=1))
    values = {
        "{name}": "app-1",
        "{request_id}": request.id,
        "{certificate_id}": made.certificate_id,
        "{revision}": "1",
    }
    found = {}
    for path in sorted(paths):
        url = path.replace("/sites/{name}", "/sites/site1")
        for name, value in values.items():
            url = url.replace(name, value)
        query = {"limit": "500"} if path in PAGED else {}
        headers = {"authorization": f"Bearer {CALLERS.get(path, 'person')}"}
        with counted() as statements:
            response = await client.get(url, params=query, headers=headers)
        assert response.status_code == 200, (path, response.text)
        found[path] = len([statement for statement in statements if not statement.startswith("BEGIN")])
    return found


async def test_no_route_costs_more_with_a_thousand_certificates_than_with_ten(made: World) -> None:
    def let_in(transaction: Transaction) -> None:
        for token, principal in TOKENS.items():
            transaction.tokens.add(hash_token(token), principal, now=NOON)

    await made.store.write(let_in)
    authority = Authority()
    registry, paths = routed(made)
    paths -= NO_ROWS
    assert paths >= PAGED
    transport = httpx.ASGITransport(app=registry)
    async with httpx.AsyncClient(transport=transport, base_url="http://registry") as client:
        await stored(made, FEW, authority)
        few = await costs(made, client, paths)
        await stored(made, MANY, authority)
        many = await costs(made, client, paths)
    assert many == few
    assert max(few.values()) <= MOST, few

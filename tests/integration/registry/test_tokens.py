"""Tokens over the API: made, listed, rotated and revoked."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from certcore.api import Problem, Role
from certcore.tokens import TokenSummary
from registry.handlers.http.auth import hash_token
from tests.registry_process import Person, RunningRegistry

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="package")]


def problem(response: httpx.Response, status: int) -> Problem:
    assert response.status_code == status, response.text
    return Problem.model_validate_json(response.content)


async def make(
    registry: RunningRegistry, subject: str, *roles: Role, by: Person | None = None, **order: object
) -> str:
    """Its id."""
    body = {"subject": subject, "owner": "shop", "roles": list(roles)} | order
    answer = await (by or registry.admin).post("/v1/tokens", json=body)
    assert answer.status_code == 201, answer.text
    found: str = answer.json()["id"]
    return found


async def listed(person: Person, **query: str) -> dict[str, TokenSummary]:
    items = (await person.get("/v1/tokens", params={"limit": "500", **query})).json()["items"]
    return {item["id"]: TokenSummary.model_validate(item) for item in items}


async def test_a_token_is_listed_with_whose_it_is_who_made_it_and_its_end(registry: RunningRegistry) -> None:
    token_id = await make(registry, "lena", Role.VIEWER, name="laptop", days=7)
    found = (await listed(registry.admin))[token_id]
    assert (found.name, found.subject, found.owner, found.kind) == ("laptop", "lena", "shop", "person")
    assert (found.roles, found.made_by, found.issuer) == (("viewer",), ("admin",), "registry")
    assert found.expires_at is not None
    assert abs(found.expires_at - datetime.now(UTC) - timedelta(days=7)) < timedelta(hours=1)
    everything = (await registry.admin.get("/v1/tokens?limit=500")).text
    assert str(registry.admin.token) not in everything
    assert hash_token(registry.admin.token or "") not in everything


async def test_a_list_of_tokens_comes_in_pages(registry: RunningRegistry) -> None:
    person = await registry.person("paula", Role.VIEWER)
    for _ in range(4):
        await make(registry, "paula")
    whole, after = list(await listed(person)), None
    assert len(whole) == 5
    pages: list[str] = []
    while True:
        page = (await person.get("/v1/tokens", params={"limit": 2} | ({"after": after} if after else {}))).json()
        pages += [item["id"] for item in page["items"]]
        after = page["next"]
        if after is None:
            break
    assert pages == whole


async def test_a_revoked_token_opens_nothing_at_once_and_stays_listed(registry: RunningRegistry) -> None:
    person = await registry.person("rita", Role.VIEWER)
    [token_id] = await listed(person)
    assert (await registry.admin.call("DELETE", f"/v1/tokens/{token_id}")).status_code == 204
    assert "revoked" in problem(await person.get("/v1/sites"), 401).detail
    assert (await registry.admin.call("DELETE", f"/v1/tokens/{token_id}")).status_code == 204
    assert token_id not in await listed(registry.admin)
    found = (await listed(registry.admin, ended="true"))[token_id]
    assert found.revoked_at is not None
    assert found.revoked_by == "admin"
    problem(await registry.admin.post(f"/v1/tokens/{token_id}/rotate"), 409)
    notes = registry.process.rows("SELECT action, detail FROM audit WHERE object = 'rita' ORDER BY sequence")
    assert [note["action"] for note in notes] == ["make token", "revoke token"]


async def test_a_rotated_token_works_beside_the_new_one_for_a_while(registry: RunningRegistry) -> None:
    person = await registry.person("rosa", Role.VIEWER)
    [old] = (await listed(person)).values()
    made = (await person.post(f"/v1/tokens/{old.id}/rotate")).json()
    fresh = Person(registry.http, made["token"])
    for either in (person, fresh):
        assert (await either.get("/v1/sites")).status_code == 200
    found = await listed(fresh)
    assert found[made["id"]].expires_at == old.expires_at
    ends = found[old.id].expires_at
    assert ends is not None
    assert ends - datetime.now(UTC) < timedelta(hours=1)


async def test_who_made_a_token_is_one_person_with_whom_it_is_for(registry: RunningRegistry) -> None:
    boss = await registry.person("boss", Role.ADMIN, Role.REQUESTER)
    made = await boss.post("/v1/tokens", json=order("puppet", Role.APPROVER, Role.ADMIN))
    puppet = Person(registry.http, made.json()["token"])
    thread = await make(registry, "thread", Role.APPROVER, by=puppet)
    assert (await listed(registry.admin))[thread].made_by == ("admin", "boss", "puppet")
    assert problem(await boss.post("/v1/tokens", json=order("boss", Role.APPROVER)), 403).detail.startswith("nobody")


def order(subject: str, *roles: Role) -> dict[str, object]:
    return {"subject": subject, "owner": "shop", "roles": list(roles)}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (order("tool", Role.APPROVER) | {"kind": "workload"}, "roles"),
        (order("mixed", Role.ISSUER, Role.APPROVER), "roles"),
        (order("bus-shop", Role.APPROVER), "subject"),
        (order("eve", Role.VIEWER) | {"endless": True}, "endless"),
        (order("eve", Role.VIEWER) | {"days": 367}, "days"),
    ],
)
async def test_a_token_that_can_not_be_is_not_made(
    registry: RunningRegistry, body: dict[str, object], field: str
) -> None:
    before = registry.process.counts()
    refused = problem(await registry.admin.post("/v1/tokens", json=body), 422)
    assert [error.field for error in refused.errors] == [field]
    assert registry.process.counts() == before

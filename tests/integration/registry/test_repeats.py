"""Changes under a key: asked once more, the same is answered as before and done once."""

import asyncio
import uuid

import pytest

from certcore.api import Role
from tests.integration.registry.bodies import a_body
from tests.integration.registry.test_requests import problem, requested
from tests.registry_process import Person, RunningRegistry

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="package")]


def key(text: str | None = None) -> dict[str, str]:
    return {"idempotency-key": text or str(uuid.uuid4())}


async def test_the_same_under_one_key_is_answered_as_before(
    ana: Person, ben: Person, registry: RunningRegistry
) -> None:
    body, given = a_body(exposure="public"), key()
    first = await ana.post("/v1/requests", json=body, headers=given)
    assert first.status_code == 202
    path = f"/v1/requests/{first.json()['id']}"
    verdict = key()
    approved = await ben.post(f"{path}/approve", json={"reason": "fine"}, headers=verdict)
    assert approved.status_code == 200
    before = registry.process.counts()
    # It was approved since: the answer is the first one all the same.
    again = await ana.post("/v1/requests", json=body, headers=given)
    assert (again.status_code, again.json(), again.headers["location"]) == (202, first.json(), path)
    quoted = {"idempotency-key": f'"{verdict["idempotency-key"]}"'}
    again = await ben.post(f"{path}/approve", json={"reason": "fine"}, headers=quoted)
    assert (again.status_code, again.json()) == (200, approved.json())
    assert registry.process.counts() == before
    problem(await ben.post(f"{path}/approve", json={"reason": "fine"}, headers=key()), 409)


async def test_a_key_belongs_to_one_caller_one_path_and_one_body(
    ana: Person, ben: Person, registry: RunningRegistry
) -> None:
    given = key()
    first = await requested(ana, a_body(exposure="public"))
    second = await requested(ana, a_body(exposure="public"))
    assert (await ben.post(f"/v1/requests/{first.id}/approve", json={}, headers=given)).status_code == 200
    refused = problem(await ben.post(f"/v1/requests/{first.id}/approve", json={"reason": "x"}, headers=given), 422)
    assert [error.field for error in refused.errors] == ["idempotency-key"]
    other = await ben.post(f"/v1/requests/{second.id}/approve", json={}, headers=given)
    assert (other.status_code, other.json()["id"]) == (200, second.id)
    eve = await registry.person("eve", Role.APPROVER)
    problem(await eve.post(f"/v1/requests/{first.id}/approve", json={}, headers=given), 409)


async def test_a_refusal_is_judged_anew_under_its_key(ana: Person, ben: Person) -> None:
    given, body = key(), a_body(exposure="public")
    first = await requested(ana, body)
    other = {**body, "description": "another"}
    problem(await ana.post("/v1/requests", json=other, headers=given), 409)
    await ben.post(f"/v1/requests/{first.id}/deny", json={"reason": "no"})
    assert (await ana.post("/v1/requests", json=other, headers=given)).status_code == 202


async def test_a_dry_run_uses_no_key_up(ana: Person) -> None:
    body, given = a_body(), key()
    assert (await ana.post("/v1/requests?dry_run=true", json=body, headers=given)).status_code == 200
    assert (await ana.post("/v1/requests", json=body, headers=given)).status_code == 202


async def test_of_many_at_once_under_one_key_one_is_done(ana: Person, registry: RunningRegistry) -> None:
    body, given = a_body(), key()
    responses = await asyncio.gather(*(ana.post("/v1/requests", json=body, headers=given) for _ in range(8)))
    for response in responses:
        if response.status_code == 409:
            assert problem(response, 409).type == "/problems/at-work"
            assert response.headers["retry-after"] == "1"
        else:
            assert response.status_code == 202
    assert len(registry.process.rows("SELECT * FROM request WHERE name = ?", body["name"])) == 1


@pytest.mark.parametrize("given", ["", "ü", "x" * 256, "a\tb"])
async def test_what_is_no_key_is_refused(ana: Person, given: str) -> None:
    headers = {"idempotency-key": given.encode()}
    refused = problem(await ana.post("/v1/requests", json=a_body(), headers=headers), 422)
    assert [error.field for error in refused.errors] == ["idempotency-key"]


async def test_where_the_answer_holds_a_secret_a_key_is_refused(registry: RunningRegistry) -> None:
    before = registry.process.counts()
    order = {"subject": "tom", "owner": "shop", "roles": ["viewer"]}
    for path, body in (("/v1/tokens", order), ("/v1/tokens/any/rotate", None), ("/v1/sign-in-codes", None)):
        refused = problem(await registry.admin.post(path, json=body, headers=key()), 422)
        assert "holds a secret" in refused.detail
    assert registry.process.counts() == before

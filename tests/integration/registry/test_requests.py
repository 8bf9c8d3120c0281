"""Requests over the API: asked for, decided by a second person, shown with the reason for waiting."""

import asyncio
import random

import httpx
import pytest

from certcore.api import CertificateState, CertificateView, Problem, RequestState, RequestView, Role
from tests.integration.registry.bodies import Body, a_body
from tests.registry_process import Person, RunningRegistry

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="package")]


async def requested(person: Person, body: Body) -> RequestView:
    response = await person.post("/v1/requests", json=body)
    assert response.status_code == 202, response.text
    view = RequestView.model_validate_json(response.content)
    assert response.headers["location"] == f"/v1/requests/{view.id}"
    return view


async def certificate(person: Person, name: str) -> CertificateView:
    response = await person.get(f"/v1/certificates/{name}")
    assert response.status_code == 200, response.text
    return CertificateView.model_validate_json(response.content)


def problem(response: httpx.Response, status: int) -> Problem:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    return Problem.model_validate_json(response.content)


async def test_an_internal_name_is_approved_by_policy_at_once(ana: Person) -> None:
    body = a_body()
    view = await requested(ana, body)
    assert (view.state, view.certificate_state) == (RequestState.APPROVED, CertificateState.APPROVED)
    assert "policy" in view.reason
    shown = await certificate(ana, body["name"])
    assert shown.approval_policy == "internal-names"
    assert shown.approved_by == ()
    assert (shown.requester, shown.owner) == ("ana", "shop")


async def test_a_public_name_waits_and_says_for_whom(ana: Person) -> None:
    body = a_body(exposure="public")
    view = await requested(ana, body)
    assert (view.state, view.certificate_state) == (RequestState.WAITING, CertificateState.WAITING_FOR_APPROVAL)
    shown = await certificate(ana, body["name"])
    assert shown.state is CertificateState.WAITING_FOR_APPROVAL
    assert shown.reason == "needs 1 approver, other than the requester (rule public-names)"
    assert shown.revision is None


async def test_nobody_approves_with_a_token_that_they_made_for_another_subject(
    registry: RunningRegistry, ana: Person, ben: Person
) -> None:
    """`ana` and `ben` have tokens that `admin` made."""
    view = await requested(registry.admin, a_body(exposure="public", owner="shop"))
    assert "somebody else" in problem(await ben.post(f"/v1/requests/{view.id}/approve", json={}), 403).detail
    own = await requested(ana, a_body(exposure="public"))
    assert (
        "somebody else" in problem(await registry.admin.post(f"/v1/requests/{own.id}/approve", json={}), 403).detail
    )


async def test_who_asked_can_t_approve_and_a_second_person_can_once(ana: Person, ben: Person) -> None:
    body = a_body(exposure="public")
    view = await requested(ana, body)
    own = await ana.post(f"/v1/requests/{view.id}/approve", json={})
    assert "somebody else" in problem(own, 403).detail
    assert (await certificate(ana, body["name"])).state is CertificateState.WAITING_FOR_APPROVAL

    second = await ben.post(f"/v1/requests/{view.id}/approve", json={"reason": "as agreed"})
    assert second.status_code == 200
    decided = RequestView.model_validate_json(second.content)
    assert (decided.state, decided.decided_by, decided.reason) == (RequestState.APPROVED, "ben", "approved by ben")
    assert (await certificate(ana, body["name"])).approved_by == ("ben",)

    for step in ("approve", "deny"):
        again = await ben.post(f"/v1/requests/{view.id}/{step}", json={"reason": "once more"})
        assert "decided before" in problem(again, 409).detail


async def test_a_second_token_makes_nobody_a_second_person(ana: Person, registry: RunningRegistry) -> None:
    view = await requested(ana, a_body(exposure="public"))
    same = await registry.person("ana", Role.APPROVER, Role.OPERATOR, owner="platform")
    problem(await same.post(f"/v1/requests/{view.id}/approve", json={}), 403)


async def test_a_denial_needs_its_reason_and_is_final(ana: Person, ben: Person) -> None:
    body = a_body(exposure="public")
    view = await requested(ana, body)
    for reason in ("", "  \t"):
        refused = await ben.post(f"/v1/requests/{view.id}/deny", json={"reason": reason})
        assert [error.field for error in problem(refused, 422).errors] == ["reason"]
    denied = await ben.post(f"/v1/requests/{view.id}/deny", json={"reason": "not our domain"})
    assert denied.status_code == 200
    shown = await certificate(ana, body["name"])
    assert (shown.state, shown.reason) == (CertificateState.DENIED, "denied by ben: not our domain")
    problem(await ben.post(f"/v1/requests/{view.id}/approve", json={}), 409)
    problem(await ana.post(f"/v1/certificates/{body['name']}/renew"), 409)


async def test_an_approval_is_bound_to_what_was_asked_for(
    ana: Person, ben: Person, registry: RunningRegistry
) -> None:
    body = a_body(exposure="public")
    view = await requested(ana, body)
    registry.process.change("UPDATE certificate SET spec_hash = 'changed' WHERE name = ?", body["name"])
    refused = await ben.post(f"/v1/requests/{view.id}/approve", json={})
    assert "was changed after this request" in problem(refused, 409).detail
    assert (await certificate(ana, body["name"])).state is CertificateState.WAITING_FOR_APPROVAL


async def test_of_many_decisions_at_once_one_counts(ana: Person, ben: Person, registry: RunningRegistry) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    order = random.Random(seed)
    eve = await registry.person("eve", Role.APPROVER)
    for _ in range(10):
        body = a_body(exposure="public")
        view = await requested(ana, body)
        decisions = [(ben, "approve"), (eve, "approve"), (eve, "deny"), (ana, "approve")]
        order.shuffle(decisions)
        responses = await asyncio.gather(
            *(person.post(f"/v1/requests/{view.id}/{step}", json={"reason": "now"}) for person, step in decisions)
        )
        counted = [
            step for (_, step), response in zip(decisions, responses, strict=True) if response.status_code == 200
        ]
        assert len(counted) == 1
        refused = sorted(response.status_code for response in responses if response.status_code != 200)
        assert refused in ([403, 409, 409], [409, 409, 409])
        events = registry.process.rows("SELECT type FROM event WHERE about = ?", view.certificate_id)
        outcomes = [kind for row in events if (kind := row["type"].split(".")[2]) in {"approved", "denied"}]
        assert outcomes == [{"approve": "approved", "deny": "denied"}[counted[0]]]


async def test_a_dry_run_checks_everything_and_stores_nothing(ana: Person, registry: RunningRegistry) -> None:
    before = registry.process.counts()
    body = a_body()
    response = await ana.post("/v1/requests?dry_run=true", json=body)
    assert response.status_code == 200
    assert RequestView.model_validate_json(response.content).state is RequestState.APPROVED
    bad = await ana.post("/v1/requests?dry_run=true", json={**body, "name": "Not A Name"})
    assert [error.field for error in problem(bad, 422).errors] == ["name"]
    assert registry.process.counts() == before
    problem(await ana.get(f"/v1/certificates/{body['name']}"), 404)
    await requested(ana, body)


async def test_asking_again_for_what_is_there_is_answered_with_it(
    ana: Person, ben: Person, registry: RunningRegistry
) -> None:
    for exposure in ("internal", "public"):
        body = a_body(exposure=exposure, labels={"tier": "web"}, dns_names=None)
        host = body["endpoints"][0]["url"].removeprefix("https://").removesuffix(":8443")
        body = {**body, "dns_names": [host, f"a.{host}"]}
        first = await requested(ana, body)
        before = registry.process.counts()
        turned = {**body, "dns_names": body["dns_names"][::-1], "owner": "shop"}
        for again in (body, turned):
            response = await ana.post("/v1/requests", json=again)
            assert response.status_code == 200, response.text
            assert RequestView.model_validate_json(response.content) == first
            assert response.headers["location"] == f"/v1/requests/{first.id}"
        assert registry.process.counts() == before
    approved = await ben.post(f"/v1/requests/{first.id}/approve", json={})
    assert (await ana.post("/v1/requests", json=body)).json() == approved.json()


@pytest.mark.parametrize(
    "changed",
    [
        {"exposure": "public"},
        {"targets": [{"kind": "files", "name": "other", "site": "site1"}], "endpoints": None},
        {"labels": {"tier": "web"}},
        {"endpoints": []},
        {"description": "another"},
    ],
)
async def test_a_name_that_the_team_has_for_something_else_is_taken(ana: Person, changed: Body) -> None:
    body = a_body()
    await requested(ana, body)
    other = {field: value for field, value in {**body, **changed}.items() if value is not None}
    if changed.get("endpoints", 0) in (None, []):
        other["proof"] = "none"
    refused = problem(await ana.post("/v1/requests", json=other), 409)
    [message] = [error.message for error in refused.errors if error.field == "name"]
    assert f"see `certbus cert show {body['name']}`" in message
    assert "approved" in message


async def test_of_another_team_s_name_nothing_is_told(ana: Person, registry: RunningRegistry) -> None:
    dora = await registry.person("dora", Role.REQUESTER, owner="archive")
    body = a_body()
    await requested(ana, body)
    refused = problem(await dora.post("/v1/requests", json=body), 409)
    [message] = [error.message for error in refused.errors if error.field == "name"]
    assert message == "is taken by another certificate"


async def test_of_many_requests_for_one_name_at_once_one_counts(ana: Person, registry: RunningRegistry) -> None:
    body = a_body()
    responses = await asyncio.gather(*(ana.post("/v1/requests", json=body) for _ in range(8)))
    assert sorted(response.status_code for response in responses) == [200] * 7 + [202]
    assert len({response.json()["id"] for response in responses}) == 1
    assert len(registry.process.rows("SELECT * FROM certificate WHERE name = ?", body["name"])) == 1


async def test_a_denied_name_is_asked_for_anew_and_keeps_its_history(
    ana: Person, ben: Person, registry: RunningRegistry
) -> None:
    body = a_body(exposure="public")
    first = await requested(ana, body)
    await ben.post(f"/v1/requests/{first.id}/deny", json={"reason": "not this target"})
    dora = await registry.person("dora", Role.REQUESTER, owner="archive")
    problem(await dora.post("/v1/requests", json=body), 409)

    other = {**body, "targets": [{"kind": "files", "name": "web", "site": "site1"}], "endpoints": [], "proof": "none"}
    second = await requested(ana, other)
    assert (second.id != first.id, second.certificate_id) == (True, first.certificate_id)
    shown = await certificate(ana, body["name"])
    assert shown.state is CertificateState.WAITING_FOR_APPROVAL
    assert ([target.name for target in shown.targets], shown.endpoints) == (["web"], ())
    denied = RequestView.model_validate_json((await ana.get(f"/v1/requests/{first.id}")).content)
    assert (denied.state, denied.reason) == (RequestState.DENIED, "denied by ben: not this target")
    problem(await ben.post(f"/v1/requests/{first.id}/approve", json={}), 409)

    assert (await ben.post(f"/v1/requests/{second.id}/approve", json={})).status_code == 200
    shown = await certificate(ana, body["name"])
    assert (shown.state, shown.approved_by) == (CertificateState.APPROVED, ("ben",))
    events = registry.process.rows("SELECT type FROM event WHERE about = ? ORDER BY sequence", first.certificate_id)
    steps = [kind for row in events if (kind := row["type"].split(".")[2]) in {"requested", "denied", "approved"}]
    assert steps == ["requested", "denied", "requested", "approved"]
    noted = registry.process.rows("SELECT action FROM audit WHERE object = ? ORDER BY sequence", body["name"])
    assert [row["action"] for row in noted] == ["request", "deny", "request", "approve"]


async def test_requests_are_listed_newest_first_and_by_state(ana: Person) -> None:
    first = await requested(ana, a_body(exposure="public"))
    second = await requested(ana, a_body(exposure="public"))
    listed = [item["id"] for item in (await ana.get("/v1/requests?state=waiting")).json()["items"]]
    assert listed[:2] == [second.id, first.id]
    assert (await ana.get(f"/v1/requests/{first.id}")).json()["state"] == "waiting"
    approved = [item["id"] for item in (await ana.get("/v1/requests?state=approved")).json()["items"]]
    assert first.id not in approved
    assert [error.field for error in problem(await ana.get("/v1/requests?state=lost"), 422).errors] == ["state"]


async def test_certificates_are_listed_by_name_owner_and_state(
    ana: Person, ben: Person, registry: RunningRegistry
) -> None:
    dora = await registry.person("dora", Role.REQUESTER, owner="archive")
    theirs, ours = a_body(), a_body()
    await requested(dora, theirs)
    await requested(ana, ours)
    everything = [item["name"] for item in (await ben.get("/v1/certificates?limit=500")).json()["items"]]
    assert everything == sorted(everything)
    assert {theirs["name"], ours["name"]} <= set(everything)
    of_archive = [item["name"] for item in (await ben.get("/v1/certificates?owner=archive")).json()["items"]]
    assert of_archive == [theirs["name"]]
    denied = (await ben.get("/v1/certificates?state=denied")).json()["items"]
    assert {item["state"] for item in denied} <= {"denied"}


async def test_a_team_sees_its_own(ana: Person, registry: RunningRegistry) -> None:
    viewer = await registry.person("vic", Role.VIEWER, owner="museum")
    asker = await registry.person("paul", Role.REQUESTER, owner="museum")
    theirs = a_body()
    view = await requested(ana, theirs)
    for person in (viewer, asker):
        assert (await person.get("/v1/certificates")).json() == {"items": [], "next": None}
        assert (await person.get("/v1/requests")).json() == {"items": [], "next": None}
        problem(await person.get(f"/v1/certificates/{theirs['name']}"), 404)
        problem(await person.get(f"/v1/requests/{view.id}"), 404)
    problem(await asker.post(f"/v1/certificates/{theirs['name']}/renew"), 404)


async def test_only_an_operator_asks_for_another_team(ana: Person, registry: RunningRegistry) -> None:
    refused = problem(await ana.post("/v1/requests", json=a_body(owner="treasury")), 422)
    assert [error.field for error in refused.errors] == ["owner"]
    operator = await registry.person("olga", Role.OPERATOR, owner="platform")
    assert (await requested(operator, a_body(owner="treasury"))).owner == "treasury"


async def test_the_grid_shows_each_target_and_endpoint_before_anything_is_issued(ana: Person) -> None:
    body = a_body()
    await requested(ana, body)
    shown = await certificate(ana, body["name"])
    assert [(target.name, target.site, target.kind, target.state) for target in shown.targets] == [
        ("host", "site1", "files", "pending")
    ]
    assert [target.reason for target in shown.targets] == ["nothing is issued yet"]
    assert [(endpoint.url, endpoint.state, endpoint.reason) for endpoint in shown.endpoints] == [
        (body["endpoints"][0]["url"], "unseen", "not looked at yet")
    ]
    assert shown.wanted_revision is None


async def test_nothing_is_renewed_before_it_was_issued(ana: Person) -> None:
    for body, why in ((a_body(), "nothing issued"), (a_body(exposure="public"), "not approved")):
        await requested(ana, body)
        refused = problem(await ana.post(f"/v1/certificates/{body['name']}/renew"), 409)
        assert why in refused.detail


async def test_what_is_not_there_is_not_found(ana: Person, ben: Person) -> None:
    for response in (
        await ana.get("/v1/certificates/nowhere"),
        await ana.get("/v1/requests/nothing"),
        await ben.post("/v1/requests/nothing/approve", json={}),
        await ana.post("/v1/certificates/nowhere/renew"),
        await ana.get("/v1/sites/elsewhere/review"),
    ):
        problem(response, 404)

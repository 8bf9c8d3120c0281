"""Requests by a publisher that knows only NATS: one event, and the answer under its own id."""

import hashlib
import uuid

import pytest

from certcore.api import CertificateState, CertificateView
from certkit.declare import declare
from certkit.topology import topology
from registry.adapters import tables
from tests.integration.registry.bodies import a_body, encoded
from tests.integration.registry.bus import SUBMITTED, Bus
from tests.registry_process import OWNERS, Person, RunningRegistry
from tests.servers import SITES

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="package")]


def hashed(text: bytes | str) -> str:
    content = text.encode() if isinstance(text, str) else text
    return f"sha256-{hashlib.sha256(content).hexdigest()[:32]}"


async def shown(person: Person, name: str) -> CertificateView:
    response = await person.get(f"/v1/certificates/{name}")
    assert response.status_code == 200, response.text
    return CertificateView.model_validate_json(response.content)


async def test_one_event_asks_and_is_answered_with_ids(bus: Bus, ana: Person) -> None:
    body = a_body()
    event_id = await bus.ask(encoded(body))
    answer = await bus.answer(event_id)
    assert answer.accepted
    assert (answer.body["request_event_id"], answer.body["name"]) == (event_id, body["name"])
    certificate = await shown(ana, body["name"])
    assert answer.body["certificate_id"] == certificate.id
    assert answer.body["state"] == certificate.state == CertificateState.APPROVED
    assert (certificate.owner, certificate.requester) == ("shop", "bus-shop")
    request = (await ana.get(f"/v1/requests/{answer.body['request_id']}")).json()
    assert request["name"] == body["name"]


async def test_a_public_name_is_answered_as_waiting_and_a_person_decides(bus: Bus, ana: Person, ben: Person) -> None:
    body = a_body(exposure="public")
    answer = await bus.asked(encoded(body))
    assert answer.body["state"] == CertificateState.WAITING_FOR_APPROVAL
    approved = await ben.post(f"/v1/requests/{answer.body['request_id']}/approve", json={})
    assert approved.status_code == 200
    assert (await shown(ana, body["name"])).state is CertificateState.APPROVED


async def test_an_event_needs_no_type(bus: Bus) -> None:
    await bus.publish("certs.request.shop.submit", encoded(a_body()), {"ce-id": "untyped"})
    assert (await bus.answer("untyped")).accepted


@pytest.mark.parametrize("version", [1, 2])
async def test_both_versions_of_the_event_are_read(bus: Bus, version: int) -> None:
    event_id = await bus.ask(encoded(a_body()), event_type=f"certbus.request.submitted.v{version}")
    assert (await bus.answer(event_id)).accepted
    event_id = await bus.ask(encoded(a_body(kind="new")), event_type=f"certbus.request.submitted.v{version}")
    assert (await bus.answer(event_id)).accepted


@pytest.mark.parametrize("kind", ["change", "retire", "revoke", "renew", "NEW", "", 7, None])
async def test_nothing_but_a_new_certificate_can_be_requested(bus: Bus, ana: Person, kind: object) -> None:
    body = encoded({**a_body(), "kind": kind})
    assert (await bus.asked(body)).fields == ["kind"]
    refused = await ana.post("/v1/requests", content=body, headers={"content-type": "application/json"})
    assert (refused.status_code, [error["field"] for error in refused.json()["errors"]]) == (422, ["kind"])


async def test_the_same_event_twice_gives_one_certificate_and_one_answer(bus: Bus, registry: RunningRegistry) -> None:
    body = a_body()
    event_id = str(uuid.uuid4())
    for _ in range(3):
        await bus.ask(encoded(body), event_id=event_id)
    await bus.settled("REQUESTS", "requests-shop")
    assert (await bus.answer(event_id)).accepted
    # Another one after it: by then a second answer would be in the stream.
    await bus.asked(encoded(a_body()))
    assert len(await bus.messages("ANSWERS_shop", f"certs.answer.shop.{event_id}")) == 1
    assert len(registry.process.rows("SELECT * FROM certificate WHERE name = ?", body["name"])) == 1
    assert len(registry.process.rows("SELECT * FROM event WHERE about = ?", event_id)) == 1


async def test_the_same_request_in_another_event_is_answered_with_what_is_there(
    bus: Bus, ana: Person, registry: RunningRegistry
) -> None:
    body = a_body(exposure="public")
    asked = await ana.post("/v1/requests", json=body)
    before = registry.process.rows("SELECT * FROM request WHERE name = ?", body["name"])
    answer = await bus.asked(encoded(body))
    assert answer.accepted
    assert (answer.body["request_id"], answer.body["state"]) == (asked.json()["id"], "waiting_for_approval")
    assert registry.process.rows("SELECT * FROM request WHERE name = ?", body["name"]) == before
    assert (await bus.asked(encoded({**body, "description": "another"}))).fields == ["name"]


async def test_a_denied_name_is_asked_for_anew_over_the_bus(bus: Bus, ana: Person, ben: Person) -> None:
    body = a_body(exposure="public")
    first = await bus.asked(encoded(body))
    await ben.post(f"/v1/requests/{first.body['request_id']}/deny", json={"reason": "no"})
    second = await bus.asked(encoded(body))
    assert second.accepted
    assert second.body["certificate_id"] == first.body["certificate_id"]
    assert second.body["request_id"] != first.body["request_id"]
    assert (await shown(ana, body["name"])).state is CertificateState.WAITING_FOR_APPROVAL


async def test_a_rejected_event_stays_rejected(bus: Bus, registry: RunningRegistry) -> None:
    event_id = await bus.ask(encoded({**a_body(), "name": "No Name"}))
    assert (await bus.answer(event_id)).fields == ["name"]
    corrected = a_body()
    await bus.ask(encoded(corrected), event_id=event_id)
    await bus.settled("REQUESTS", "requests-shop")
    assert (await bus.answer(event_id)).fields == ["name"]
    assert not registry.process.rows("SELECT * FROM certificate WHERE name = ?", corrected["name"])


async def test_two_teams_may_use_one_id(bus: Bus, registry: RunningRegistry) -> None:
    for owner in ("shop", "treasury"):
        await bus.ask(encoded(a_body()), owner=owner, event_id="order-1")
    owners = []
    for owner in ("shop", "treasury"):
        answer = await bus.answer("order-1", owner=owner)
        [row] = registry.process.rows("SELECT owner FROM certificate WHERE id = ?", answer.body["certificate_id"])
        owners.append(row["owner"])
    assert owners == ["shop", "treasury"]


async def test_nobody_asks_as_another_team(bus: Bus, registry: RunningRegistry) -> None:
    body = a_body(owner="treasury")
    assert (await bus.asked(encoded(body))).fields == ["owner"]
    assert not registry.process.rows("SELECT * FROM certificate WHERE name = ?", body["name"])
    assert (await bus.asked(encoded(a_body(owner="shop")))).accepted


async def test_an_event_without_an_id_is_answered_by_the_hash_of_its_body(bus: Bus) -> None:
    body = encoded(a_body())
    for _ in range(2):
        await bus.publish("certs.request.shop.submit", body, {"ce-type": SUBMITTED})
    assert (await bus.answer(hashed(body))).fields == ["ce-id"]
    await bus.settled("REQUESTS", "requests-shop")
    await bus.asked(encoded(a_body()))
    assert len(await bus.messages("ANSWERS_shop", f"certs.answer.shop.{hashed(body)}")) == 1


@pytest.mark.parametrize("event_type", ["certbus.request.submitted.v3", "certbus.certificate.live.v1", "tüpe 🎉"])
@pytest.mark.parametrize("named", [True, False])
async def test_an_event_of_an_unknown_type_is_parked_and_answered(
    bus: Bus,
    event_type: str,
    named: bool,  # noqa: FBT001 # drawn
) -> None:
    before = len(await bus.dead_letters("requests-shop"))
    body = encoded(a_body())
    event_id = str(uuid.uuid4())
    await bus.publish(
        "certs.request.shop.submit", body, {"ce-type": event_type, **({"ce-id": event_id} if named else {})}
    )
    answer = await bus.answer(event_id if named else hashed(body))
    assert answer.fields == ["ce-type"]
    await bus.settled("REQUESTS", "requests-shop")
    [letter] = (await bus.dead_letters("requests-shop"))[before:]
    headers = letter.headers or {}
    assert letter.data == body
    assert headers["ce-type"] == event_type
    assert headers["certbus-fate"] == "permanent"
    assert headers["certbus-subject"] == "certs.request.shop.submit"
    assert "unknown event type" in headers["certbus-error"]


@pytest.mark.parametrize(
    "event_id",
    ["a b", "x.y.z", "*", ">", "$JS.API", "ördér #1 🎉", "urn:uuid:7", "a" * 65, "b" * 3000, "'; --", "a,b;c=d"],
)
async def test_an_odd_id_is_answered_under_its_hash(bus: Bus, event_id: str) -> None:
    answer = await bus.answer(hashed(await bus.ask(encoded(a_body()), event_id=event_id)))
    assert answer.accepted
    assert answer.body["request_event_id"] == event_id


async def test_long_ids_are_told_apart_by_their_ends(bus: Bus) -> None:
    ids = [f"{'x' * 300}{number}" for number in range(3)]
    for event_id in ids:
        await bus.ask(encoded(a_body()), event_id=event_id)
    for event_id in ids:
        assert (await bus.answer(hashed(event_id))).accepted


@pytest.mark.parametrize("owner", ["Shop", "a_b", "-shop", "s" * 64])
async def test_an_owner_that_is_no_name_is_set_aside(bus: Bus, owner: str) -> None:
    await bus.ask(encoded(a_body()), owner=owner)
    await bus.settled("REQUESTS", f"requests-{owner}")
    letters = await bus.dead_letters(f"requests-{owner}")
    assert [(letter.headers or {})["certbus-subject"] for letter in letters] == [f"certs.request.{owner}.submit"]


async def test_the_longest_of_owners_is_stored_as_every_database_can(bus: Bus, registry: RunningRegistry) -> None:
    owner = "o" * 63
    await bus.ask(encoded(a_body()), owner=owner, event_id="longest")
    certificate = (await bus.answer("longest", owner=owner)).body["certificate_id"]
    [row] = registry.process.rows("SELECT * FROM certificate WHERE id = ?", certificate)
    # SQLite takes any length; PostgreSQL doesn't.
    widths = {column.name: getattr(column.type, "length", None) for column in tables.certificate.columns}
    assert not {name for name, width in widths.items() if width and row[name] and len(row[name]) > width}


async def test_an_owner_that_is_declared_later_is_served_without_a_restart(bus: Bus) -> None:
    await declare(bus.js, topology(SITES, owners=[*OWNERS, "late"]), apply=True)
    event_id = await bus.ask(encoded(a_body()), owner="late")
    assert (await bus.answer(event_id, owner="late", timeout_s=30.0)).accepted

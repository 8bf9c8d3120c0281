"""Intents: labels, contact, description and proof, and what of an intent an approval covers."""

import json

import pytest

from certcore.api import CertificateView
from certcore.certificate import approval_hash
from certcore.door import RequestDoor
from certcore.targets import FILES, TargetKinds
from tests.integration.registry.bodies import Body, a_body, encoded
from tests.integration.registry.bus import Bus
from tests.registry_process import Person, RunningRegistry

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="package")]

TOLD: Body = {
    "labels": {"team": "checkout", "cost-centre": "4711", "empty": ""},
    "contact": "checkout@example.test",
    "description": "Front door of the shop.\nAsk before you change it.",
}


def stored_hash(registry: RunningRegistry, name: str) -> str:
    [row] = registry.process.rows(
        "SELECT c.spec_hash, r.spec_hash AS asked, a.spec_hash AS approved FROM certificate c"
        " JOIN request r ON r.certificate_id = c.id JOIN approval a ON a.id = c.approval_id WHERE c.name = ?",
        name,
    )
    assert row["spec_hash"] == row["asked"] == row["approved"]
    return str(row["spec_hash"])


async def requested(person: Person, body: Body) -> CertificateView:
    response = await person.post("/v1/requests", json=body)
    assert response.status_code == 202, response.text
    shown = await person.get(f"/v1/certificates/{body['name']}")
    return CertificateView.model_validate_json(shown.content)


async def test_what_is_told_of_a_certificate_is_shown(ana: Person, bus: Bus) -> None:
    body = a_body(**TOLD)
    shown = await requested(ana, body)
    assert (shown.labels, shown.contact, shown.description) == tuple(TOLD.values())
    assert (await bus.asked(encoded(a_body(**TOLD)))).accepted
    bare = await requested(ana, a_body())
    assert (bare.labels, bare.contact, bare.description) == ({}, None, None)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("labels", {"Team": "x"}),
        ("labels", {"team": "a b"}),
        ("labels", {"team": "x" * 64}),
        ("labels", {"team": 7}),
        ("labels", {f"label-{number}": "x" for number in range(33)}),
        ("labels", ["team"]),
        ("contact", "x" * 201),
        ("contact", "a\x1b[31m"),
        ("contact", 7),
        ("description", "x" * 2001),
        ("description", "-----BEGIN PRIVATE KEY-----"),
        ("proof", "trust"),
    ],
)
async def test_what_can_t_be_told_is_refused_by_its_field(ana: Person, bus: Bus, field: str, value: object) -> None:
    body = encoded({**a_body(), field: value})
    refused = await ana.post("/v1/requests", content=body, headers={"content-type": "application/json"})
    assert refused.status_code == 422, refused.text
    named = [error["field"] for error in refused.json()["errors"]]
    assert {name.split(".")[0] for name in named} == {field}
    assert (await bus.asked(body)).fields == named


async def test_endpoints_may_be_missing_only_where_nobody_can_look(ana: Person) -> None:
    body = a_body()
    for wrong, field in (
        ({**body, "endpoints": []}, "endpoints"),
        ({key: value for key, value in body.items() if key != "endpoints"}, "endpoints"),
        ({**body, "proof": "none"}, "proof"),
    ):
        refused = await ana.post("/v1/requests", json=wrong)
        assert [error["field"] for error in refused.json()["errors"]] == [field]
    shown = await requested(ana, {**body, "proof": "none", "endpoints": []})
    assert shown.endpoints == ()


async def test_what_is_told_beside_an_intent_changes_no_hash_of_it(ana: Person, registry: RunningRegistry) -> None:
    body, door = a_body(), RequestDoor(TargetKinds([FILES]))
    other_endpoint = [{"url": body["endpoints"][0]["url"]}]
    # A name is taken once: each that was looked at gets another.
    hashes = set()
    told: list[Body] = [
        {},
        TOLD,
        {"labels": {}},
        {"endpoints": other_endpoint},
        {"endpoints": [], "proof": "none"},
    ]
    for changes in told:
        asked = {**body, **changes}
        await requested(ana, asked)
        hashes.add(stored_hash(registry, body["name"]))
        registry.process.change("DELETE FROM certificate_fact WHERE name = ?", body["name"])
        registry.process.change(
            "UPDATE certificate SET name = 'gone-' || substr(id, 1, 8) WHERE name = ?", body["name"]
        )
    assert len(hashes) == 1
    others: list[Body] = [
        {"targets": [{"kind": "files", "name": "host", "site": "site2"}]},
        {"exposure": "public"},
        {"key_algorithm": "ec-p384"},
        {"issuer": "ca-one"},
        {"end_date": "2100-01-01T00:00:00Z"},
    ]
    for changes in others:
        spec = door.read(encoded({**body, **changes}))
        assert approval_hash(spec, owner="shop") not in hashes
    assert {approval_hash(door.read(encoded(body)), owner="shop")} == hashes


async def test_the_hash_of_a_known_intent_stays_what_it_is(ana: Person, registry: RunningRegistry) -> None:
    """Every approval that was ever stored rests on it: a change of this number takes them all away."""
    body = {
        "name": "known-intent",
        "dns_names": ["b.known.example.test", "a.known.example.test"],
        "exposure": "internal",
        "targets": [
            {"kind": "kubernetes", "name": "pods", "site": "site1", "namespaces": ["web"], "secret": "tls"},
            {"kind": "files", "name": "host", "site": "site1"},
        ],
        "endpoints": [{"url": "https://a.known.example.test"}],
        "end_date": "2100-01-01T00:00:00Z",
    }
    await requested(ana, body)
    assert stored_hash(registry, "known-intent") == HASH_OF_KNOWN_INTENT


HASH_OF_KNOWN_INTENT = "v1:2c1052828c2fb294667080d22b2161cc339b6951962dbd0f7b75703ee495080c"


async def test_defaults_are_not_stored(ana: Person, registry: RunningRegistry) -> None:
    body = a_body()
    await requested(ana, body)
    [row] = registry.process.rows("SELECT spec FROM certificate WHERE name = ?", body["name"])
    assert json.loads(row["spec"]) == {**body, "owner": "shop"}

"""Bad input over API and bus alike: the field at fault is named, nothing is stored, nothing crashes."""

import json
import random
import unicodedata
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial
from typing import Any

import httpx
import pytest
from nats.js.errors import NotFoundError

from certcore.api import Problem, Role
from certcore.names import is_label
from tests.authority import Authority
from tests.integration.registry.bad_bodies import CASES, FILES, PODS, URL, Bad
from tests.integration.registry.bodies import Body, a_body, encoded
from tests.integration.registry.bus import Bus, eventually
from tests.integration.registry.naughty import NAUGHTY
from tests.registry_process import Person, RunningRegistry

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="package")]

JSON = {"content-type": "application/json"}
STORED = ("certificate", "request", "approval", "revision", "bundle", "placement", "endpoint", "site", "recipient")


MANY_FAULTS = encoded(
    {**a_body("bad-input"), "targets": [{**PODS, "clusters": [1] * 20_000}], "endpoints": [{"url": URL}]}
)


def stored(registry: RunningRegistry) -> dict[str, int]:
    counts = registry.process.counts()
    return {table: counts[table] for table in STORED}


def problem(response: httpx.Response, *statuses: int) -> Problem:
    assert response.status_code in (statuses or (422,)), response.text
    assert response.headers["content-type"] == "application/problem+json"
    return Problem.model_validate_json(response.content)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.what)
async def test_the_api_names_the_field_and_stores_nothing(ana: Person, registry: RunningRegistry, case: Bad) -> None:
    before = registry.process.counts()
    refused = problem(await ana.post("/v1/requests", content=case.body, headers=JSON))
    assert [error.field for error in refused.errors] == list(case.fields)
    assert all(error.message for error in refused.errors)
    assert registry.process.counts() == before


async def test_the_bus_names_the_same_fields_and_stores_nothing(bus: Bus, registry: RunningRegistry) -> None:
    before = stored(registry)
    asked = {await bus.ask(case.body, content_type="application/json"): case for case in CASES}
    for event_id, case in asked.items():
        assert (await bus.answer(event_id)).fields == list(case.fields), case.what
    assert stored(registry) == before


async def test_the_next_good_request_passes_on_both_ways(ana: Person, bus: Bus) -> None:
    assert (await ana.post("/v1/requests", json=a_body())).status_code == 202
    assert (await bus.asked(encoded(a_body()))).accepted


async def test_of_very_many_faults_the_first_are_named(ana: Person, bus: Bus) -> None:
    """A rejection has to fit into an event, or nothing would ever be published after it."""
    refused = problem(await ana.post("/v1/requests", content=MANY_FAULTS, headers=JSON))
    assert 1 < len(refused.errors) <= 100
    assert refused.errors[0].field == "targets.0.clusters.0"
    answer = await bus.asked(MANY_FAULTS)
    assert answer.fields == [error.field for error in refused.errors]
    assert (await bus.asked(encoded(a_body()))).accepted


HUGE = 48 * 1024 * 1024


@pytest.mark.parametrize("path", ["/v1/requests", "/v1/requests/nowhere/deny", "/v1/tokens", "/v1/bundles/x/1"])
async def test_a_huge_body_fills_no_memory_whoever_sends_it(registry: RunningRegistry, path: str) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(HUGE // 65536):
            yield b"x" * 65536

    method = "PUT" if "bundles" in path else "POST"
    issuer = await registry.person("an-issuer", Role.ISSUER)
    before = registry.process.peak_memory()
    for person in (registry.nobody, registry.admin, issuer):
        # The registry may hang up while we still talk.
        with suppress(httpx.WriteError, httpx.ReadError):
            problem(await person.call(method, path, content=pieces(), headers=JSON), 401, 403, 413)
        with suppress(httpx.WriteError, httpx.ReadError):
            problem(await person.call(method, path, content=b"x" * HUGE, headers=JSON), 401, 403, 413)
    assert registry.process.peak_memory() - before < HUGE // 2
    assert (await registry.admin.get("/v1/sites")).status_code == 200


async def test_a_body_that_is_too_large_is_a_problem_like_any_other(registry: RunningRegistry) -> None:
    body = b'{"reason": "' + b"x" * 5 * 1024 * 1024 + b'"}'
    refused = await registry.admin.post("/v1/requests/nowhere/deny", content=body, headers=JSON)
    assert problem(refused, 413).type == "/problems/too-large"


def naughty_body(text: str) -> Body:
    """The string in every field that takes text."""
    return {
        "name": text,
        "dns_names": [text],
        "exposure": text,
        "owner": text,
        "issuer": text,
        "key_algorithm": text,
        "end_date": text,
        "targets": [
            {"kind": "files", "name": text, "site": text, "store": text},
            {**PODS, "secret": text, "namespaces": [text], "clusters": [text]},
            {"kind": "haproxy", "name": "edge", "site": "site1", "instance": text},
            {**FILES, "kind": text},
        ],
        "endpoints": [{"url": text, "target": text}],
    }


TEXT_FIELDS = {
    *("name", "dns_names.0", "exposure", "owner", "issuer", "key_algorithm", "end_date"),
    *("targets.0.name", "targets.0.site", "targets.0.store"),
    *("targets.1.secret", "targets.1.namespaces.0", "targets.1.clusters.0"),
    *("targets.2.instance", "targets.3.kind"),
    *("endpoints.0.url", "endpoints.0.target"),
}


async def test_none_of_the_strings_is_a_name() -> None:
    assert not [text for text in NAUGHTY if is_label(text)]
    assert len(NAUGHTY) == len(set(NAUGHTY)) >= 60


async def test_no_text_field_takes_a_naughty_string(ana: Person, registry: RunningRegistry) -> None:
    before = registry.process.counts()
    for text in NAUGHTY:
        response = await ana.post("/v1/requests", content=encoded(naughty_body(text)), headers=JSON)
        assert {error.field for error in problem(response).errors} == TEXT_FIELDS, repr(text)
    assert registry.process.counts() == before
    assert (await ana.post("/v1/requests", json=a_body())).status_code == 202


async def test_no_text_field_takes_a_naughty_string_from_the_bus(bus: Bus, registry: RunningRegistry) -> None:
    before = stored(registry)
    asked = {await bus.ask(encoded(naughty_body(text))): text for text in NAUGHTY}
    await bus.settled("REQUESTS", "requests-shop")
    for event_id, text in asked.items():
        assert set((await bus.answer(event_id)).fields) == TEXT_FIELDS, repr(text)
    assert stored(registry) == before
    assert (await bus.asked(encoded(a_body()))).accepted


async def test_a_reason_may_be_any_readable_text_and_stays_text(
    ana: Person, ben: Person, bus: Bus, registry: RunningRegistry
) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    reasons = {}
    for text in ["<script>alert(1)</script>", "two\nlines", *random.Random(seed).sample(NAUGHTY, 25)]:
        body = a_body(exposure="public")
        view = (await ana.post("/v1/requests", json=body)).json()
        response = await ben.post(f"/v1/requests/{view['id']}/deny", json={"reason": text})
        if response.status_code == 422:
            assert [error.field for error in problem(response).errors] == ["reason"]
            controls = any(unicodedata.category(sign) == "Cc" and sign not in "\n\t" for sign in text)
            assert len(text) > 2000 or not text.strip() or controls or "PRIVATE KEY" in text, repr(text)
        else:
            assert response.status_code == 200, response.text
            reasons[view["certificate_id"]] = text
    assert "<script>alert(1)</script>" in reasons.values()
    page = await registry.admin.get("/list")
    assert page.status_code == 200
    assert "<script>" not in page.text
    assert "<img" not in page.text
    for certificate_id, text in reasons.items():
        denied = await eventually(partial(denial, bus, certificate_id), what="the denial's event")
        assert denied["reason"] == f"denied by ben: {text}"


async def denial(bus: Bus, certificate_id: str) -> dict[str, Any] | None:
    try:
        message = await bus.js.get_last_msg("CERTS", f"certs.ev.denied.{certificate_id}", direct=True)
    except NotFoundError:
        return None
    found: dict[str, Any] = json.loads(message.data or b"")
    return found


@pytest.mark.parametrize(
    "reason",
    [
        pytest.param(b'"' + b"x" * 2001 + b'"', id="too long"),
        pytest.param(b'"' + b"x" * 900_000 + b'"', id="larger than an event may be"),
        pytest.param(b'"half \\ud800 a pair"', id="half of a surrogate pair"),
        pytest.param(b'"a \\u0000 zero"', id="a zero byte"),
        pytest.param(b"7", id="a number"),
        pytest.param(b"null", id="null"),
        pytest.param(b"NaN", id="NaN"),
    ],
)
async def test_a_reason_that_can_t_be_kept_is_refused(ana: Person, ben: Person, bus: Bus, reason: bytes) -> None:
    view = (await ana.post("/v1/requests", json=a_body(exposure="public"))).json()
    for step in ("approve", "deny"):
        response = await ben.post(
            f"/v1/requests/{view['id']}/{step}", content=b'{"reason": ' + reason + b"}", headers=JSON
        )
        assert [error.field for error in problem(response).errors] == ["reason"]
    assert (await ana.get(f"/v1/requests/{view['id']}")).json()["state"] == "waiting"
    assert (await bus.asked(encoded(a_body()))).accepted


@pytest.mark.parametrize("body", [b'{"\\ud800": 1}', b'{"colour": "blue"}', b'{"' + b"x" * 5000 + b'": 1}'])
async def test_an_unknown_field_of_a_decision_is_named_readably(ben: Person, body: bytes) -> None:
    refused = problem(await ben.post("/v1/requests/nowhere/approve", content=body, headers=JSON))
    assert len(refused.errors) == 1
    assert 0 < len(refused.errors[0].field) <= 300


async def test_no_token_or_site_takes_a_naughty_string(registry: RunningRegistry) -> None:
    before = registry.process.counts()
    for text in NAUGHTY:
        order = {"subject": text, "owner": text, "roles": [text], "site": text, "service": text}
        response = await registry.admin.post("/v1/tokens", content=encoded(order), headers=JSON)
        named = {error.field for error in problem(response).errors}
        assert named == {"subject", "owner", "roles.0", "site", "service"}, repr(text)
        recipient = {"service": "syncer", "public_key": text}
        response = await registry.admin.put(
            "/v1/sites/site3", content=encoded({"recipients": [recipient]}), headers=JSON
        )
        assert [error.field for error in problem(response).errors] == ["recipients.0.public_key"], repr(text)
    for name in ("Site", "a%20b", "a%0d%0ab", "%00", "a.b", "-", "a" * 64, "%F0%9F%8E%89"):
        response = await registry.admin.put(f"/v1/sites/{name}", json={"recipients": []})
        assert [error.field for error in problem(response).errors] == ["name"], name
    assert registry.process.counts() == before


async def test_only_a_pusher_can_be_at_the_hub(registry: RunningRegistry) -> None:
    before = registry.process.dump()["recipient"]
    syncer = {"service": "syncer", "public_key": registry.keys["site1-syncer"].public_key}
    refused = problem(await registry.admin.put("/v1/sites/hub", json={"recipients": [syncer]}))
    assert [error.field for error in refused.errors] == ["recipients"]
    assert registry.process.dump()["recipient"] == before


async def test_a_site_has_one_key_for_a_service(registry: RunningRegistry) -> None:
    before = registry.process.dump()["recipient"]
    keys = [registry.keys[name].public_key for name in ("site1-syncer", "site2-syncer")]
    both = {"recipients": [{"service": "syncer", "public_key": key} for key in keys]}
    refused = problem(await registry.admin.put("/v1/sites/site3", json=both))
    assert [error.field for error in refused.errors] == ["recipients.1.service"]
    other = {"recipients": [{"service": "syncer", "public_key": keys[1]}]}
    problem(await registry.admin.put("/v1/sites/site1", json=other), 409)
    same = {"recipients": [{"service": "syncer", "public_key": keys[0]}]}
    assert (await registry.admin.put("/v1/sites/site1", json=same)).status_code == 204
    assert registry.process.dump()["recipient"] == before


async def test_no_path_query_or_header_breaks_anything(registry: RunningRegistry, ana: Person) -> None:
    issuer = await registry.person("an-issuer", Role.ISSUER)
    syncer = await registry.service("a-syncer", Role.DELIVERER, site="site1", kind="syncer")
    before, refused_before = registry.process.counts(), _refused_bundles(registry)
    odd = ("%00", "%ff", "%F0%9F%8E%89", "a%2Fb", "..", "%2e%2e%2f", "'--", "a" * 3000, "%0d%0a", "*", ">")
    for text in odd:
        for path in (f"/v1/certificates/{text}", f"/v1/requests/{text}", f"/v1/sites/{text}/review"):
            assert (await ana.get(path)).status_code in {200, 307, 404, 405}, path
        listed = await ana.get(f"/v1/certificates?owner={text}")
        if listed.status_code == 200:
            assert listed.json()["items"] == []
        else:
            assert [error.field for error in problem(listed).errors] == ["query" if text == "%00" else "owner"]
        for person in (ana, syncer):
            assert (await person.get(f"/v1/bundles/{text}/1")).status_code == 404
    chain = {"chain_pem": Authority().issue("a.example.org").chain_pem, "keys": []}
    for revision in ("0", "-1", "x", "1.5", "9" * 30, "2147483648", "NaN", "%00"):
        assert (await syncer.get(f"/v1/bundles/nowhere/{revision}")).status_code in {404, 422}, revision
        response = await issuer.put(f"/v1/bundles/nowhere/{revision}", json=chain)
        assert [error.field for error in problem(response).errors] == ["revision"], revision
    # What nobody has was asked for: each time that is audited, whatever it is called.
    noted = _refused_bundles(registry) - refused_before
    assert noted >= len(odd)
    assert registry.process.counts() == before | {"audit": before["audit"] + noted}


def _refused_bundles(registry: RunningRegistry) -> int:
    [row] = registry.process.rows("SELECT COUNT(*) AS number FROM audit WHERE action = 'refused bundle'")
    number: int = row["number"]
    return number


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"chain_pem": "", "keys": []}, 422),
        ({"chain_pem": "x" * 300_000, "keys": []}, 422),
        ({"chain_pem": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "keys": []}, 422),
        ({"chain_pem": 7, "keys": []}, 422),
        ({"chain_pem": "", "keys": [{"recipient": "x", "sealed": "@@"}]}, 422),
        ({"chain_pem": "", "keys": [], "key_pem": "x"}, 422),
    ],
)
async def test_a_bundle_that_can_t_be_read_is_refused(
    registry: RunningRegistry, body: dict[str, object], status: int
) -> None:
    issuer = await registry.person("an-issuer", Role.ISSUER)
    problem(await issuer.put("/v1/bundles/nowhere/1", json=body), status)
    surrogate = b'{"chain_pem": "\\ud800", "keys": []}'
    problem(await issuer.put("/v1/bundles/nowhere/1", content=surrogate, headers=JSON), status)


async def test_every_line_that_was_logged_is_one_json_object(bus: Bus, registry: RunningRegistry) -> None:
    for text in NAUGHTY:
        await bus.ask(
            encoded(naughty_body(text)), event_id=f"naughty {text}" if text.isprintable() else f"odd {text!a}"
        )
    await bus.settled("REQUESTS", "requests-shop", timeout_s=60.0)
    lines = registry.process.log_lines
    assert len([line for line in lines if "request_rejected" in line]) >= len(NAUGHTY)
    events = [json.loads(line) for line in lines]
    assert all(isinstance(event, dict) and event["service"] == "registry" for event in events)
    assert not [event for event in events if event.get("event") == "forged"]
    assert not [event for event in events if "exception" in event or "Traceback" in str(event)]

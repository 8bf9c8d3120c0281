"""A later registry brings words that this version doesn't know: each is shown as it is, and nothing breaks."""

import json
from enum import StrEnum

from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from certbus.certificate_views import (
    certificate_facts,
    certificate_table,
    condition_table,
    endpoint_grid,
    target_grid,
    variant_table,
    worse_reason,
)
from certbus.event_stories import story
from certbus.output import Table
from certbus.progress import outcome, progress_line, when_time_is_over
from certbus.request_views import next_step, request_facts, request_line, request_table
from certcore import events
from certcore.api import (
    CertificateState,
    CertificateSummary,
    CertificateView,
    EndpointState,
    RequestState,
    RequestView,
    TargetState,
)
from certcore.certificate import Exposure, KeyAlgorithm, Proof
from certcore.conditions import ConditionStatus, ConditionType, Health
from tests.unit.certbus.samples import NOON, condition, endpoint, request, summary, target, view


def words(known: type[StrEnum]) -> st.SearchStrategy[str]:
    return st.sampled_from([word.value for word in known]) | st.text(max_size=12)


def changed(model: BaseModel, **words_of: object) -> dict[str, object]:
    return {**model.model_dump(mode="json"), **words_of}


def cells(table: Table) -> set[str]:
    return {cell.text for row in table.rows for cell in row}


@given(words(CertificateState), words(Health), words(Exposure))
def test_a_row_of_certificates_shows_every_word(state: str, health: str, exposure: str) -> None:
    body = changed(summary(), state=state, health=health, exposure=exposure, reason="r", health_reason="h")
    read = CertificateSummary.model_validate_json(json.dumps(body))
    assert {state, health, exposure} <= cells(certificate_table([read], NOON))
    assert worse_reason(read) in {"r", "h", ""}


@given(
    words(CertificateState),
    words(Health),
    st.tuples(words(TargetState), words(EndpointState)),
    st.tuples(words(ConditionType), words(ConditionStatus)),
    words(KeyAlgorithm),
)
def test_a_certificate_shows_every_word(
    state: str, health: str, places: tuple[str, str], of_condition: tuple[str, str], key: str
) -> None:
    of_target, of_endpoint = places
    kind, status = of_condition
    body = changed(
        view(),
        state=state,
        health=health,
        key_algorithm=key,
        targets=[changed(target(), state=of_target)],
        endpoints=[changed(endpoint(), state=of_endpoint)],
        conditions=[changed(condition(), type=kind, status=status)],
    )
    read = CertificateView.model_validate_json(json.dumps(body))
    facts = dict(certificate_facts(read, NOON))
    assert (facts["health"], facts["key"]) == (health, key)
    assert facts["state"].startswith(f"{state}, since")
    assert of_target in cells(target_grid(read, NOON))
    assert of_endpoint in cells(endpoint_grid(read, NOON))
    assert {kind, status} <= cells(condition_table(read, NOON))
    assert variant_table(read.variants, NOON).rows == ()
    assert state in progress_line(read, revision=1)
    outcome(read, revision=1)
    when_time_is_over(read, revision=1)


@given(words(RequestState), words(CertificateState), words(Exposure), words(Proof), st.text(max_size=12))
def test_a_request_shows_every_word(state: str, of_certificate: str, exposure: str, proof: str, kind: str) -> None:
    spec = changed(
        request().spec, exposure=exposure, proof=proof, targets=[{"name": "edge", "kind": kind, "port": 8}]
    )
    body = changed(request(), state=state, certificate_state=of_certificate, spec=spec)
    read = RequestView.model_validate_json(json.dumps(body))
    assert {state, exposure} <= cells(request_table([read], NOON))
    facts = request_facts(read, NOON)
    assert ("target", f"{kind}:name=edge,port=8") in facts
    assert ("certificate", f"shop, {of_certificate}") in facts
    assert request_line(read).startswith(f"request r-1 for shop: {state}")
    assert next_step(read)


@given(st.text(max_size=12))
def test_an_event_tells_every_word(word: str) -> None:
    about = {"certificate_id": "c-1", "name": "shop", "owner": "team-shop"}
    placed = {"certificate_id": "c-1", "target": "web", "generation": 1, "revision": 1}
    moment = NOON.isoformat()
    told = [
        events.CertificateHealthChanged.model_validate({**about, "health": word, "conditions": []}),
        events.CertificateHealthChanged.model_validate(
            {**about, "health": "ok", "conditions": [changed(condition(), type=word, status="false")]}
        ),
        events.CertificateFailing.model_validate(
            {**about, "revision": 1, "reason": "r", "next_try": None, "must_act": word}
        ),
        events.DeliveryFailed.model_validate({**placed, "reason": word, "detail": "", "next_try": None}),
        events.EndpointObserved.model_validate(
            {
                "certificate_id": "c-1",
                "url": "https://a.example.org",
                "verdict": word,
                "served_revision": None,
                "served_fingerprint_sha256": None,
                "addresses": [],
                "observed_at": moment,
            }
        ),
        events.DeploymentOrdered.model_validate(
            {
                "certificate_id": "c-1",
                "name": "shop",
                "placements": [{"target": {"name": "web", "kind": "cps"}, "generation": 1, "action": word}],
            }
        ),
    ]
    assert all(word in story(event) for event in told)

"""What each stream takes: enough for the largest honest message, and no more than the broker can keep."""

from datetime import UTC, datetime

import pytest
from pydantic import BaseModel

from certcore import subjects
from certcore.conditions import Condition, ConditionStatus, ConditionType, Health
from certcore.door import MAX_BODY_BYTES, MAX_REJECTIONS
from certcore.events import (
    AcceptedFingerprint,
    CertificateHealthChanged,
    DeploymentOrdered,
    EndpointExpected,
    EndpointsExpected,
    MissedEndpoint,
    ProbeRound,
    RequestRejected,
    SiteHeartbeat,
)
from certcore.identities import HUB, dead_lettered_at
from certcore.intent import Target
from certcore.placements import PlacementOrder, generation
from certcore.rejection import Rejection
from certkit.bounds import LARGEST_EVENT, Bounds
from certkit.topology import topology

_MIB = 1024 * 1024
_NOW = datetime(2026, 11, 25, tzinfo=UTC)
_ID, _SHA = "c" * 36, "a" * 64
_LABEL, _URL = "n" * 63, "https://" + "h" * 292

_TARGET = Target.model_validate(
    {
        "name": _LABEL,
        "kind": "kubernetes",
        "site": _LABEL,
        "namespaces": ["payments-production"] * 3,
        "secret": "s" * 40,
        "clusters": ["cluster-1", "cluster-2"],
    }
)
_PLACEMENT = PlacementOrder(
    target=_TARGET,
    generation=generation(9, 99_999),
    revision=999,
    fingerprint_sha256=_SHA,
    serial="f" * 40,
    not_after=_NOW,
    bundle_sha256=_SHA,
)
_LEAF = AcceptedFingerprint(revision=999, fingerprint_sha256=_SHA)
_ENDPOINT = EndpointExpected(url=_URL[:70], target=_LABEL, wanted=(_LEAF,) * 2, accepted=(_LEAF,) * 4)
_LARGEST = {
    "an order of 1,000 placements": (
        "DEPLOY_site1",
        DeploymentOrdered(certificate_id=_ID, name=_LABEL, placements=(_PLACEMENT,) * 1000, traceparent="0" * 55),
    ),
    "expectations of 500 endpoints": (
        subjects.CERTS,
        EndpointsExpected(certificate_id=_ID, name=_LABEL, owner=_LABEL, generation=9, endpoints=(_ENDPOINT,) * 500),
    ),
    "health with every condition": (
        subjects.CERTS,
        CertificateHealthChanged(
            certificate_id=_ID,
            name=_LABEL,
            owner=_LABEL,
            health=Health.DEGRADED,
            conditions=tuple(
                Condition(type=kind, status=ConditionStatus.FALSE, reason="r" * 63, message="m" * 2000, since=_NOW)
                for kind in ConditionType
            ),
        ),
    ),
    "a round that missed 1,000 endpoints": (
        "LAST_site1",
        ProbeRound(
            worker="w" * 64,
            started=_NOW,
            ended=_NOW,
            period_s=1,
            looked=1,
            missed=(MissedEndpoint(certificate_id=_ID, url=_URL),) * 1000,
        ),
    ),
    "a heartbeat of 100 clusters": (
        "LAST_site1",
        SiteHeartbeat(
            site=_LABEL, service="syncer", version="1.0", clusters=(_LABEL,) * 100, started=_NOW, not_ready="x" * 2000
        ),
    ),
    "every rejection of a request": (
        "ANSWERS_payments",
        RequestRejected(
            request_event_id="e" * 128,
            errors=(Rejection(field="f" * 200, message="m" * 300),) * MAX_REJECTIONS,
        ),
    ),
}


@pytest.mark.parametrize(("stream", "event"), _LARGEST.values(), ids=_LARGEST)
def test_a_stream_takes_its_largest_honest_message(stream: str, event: BaseModel) -> None:
    limit = topology(["site1"], owners=["payments"]).stream(stream).max_msg_size or 0
    size = len(event.model_dump_json()) + 4096

    assert size <= limit
    if stream in {subjects.CERTS, "DEPLOY_site1"}:
        assert size <= LARGEST_EVENT + 4096


def test_a_request_that_is_too_large_for_the_door_gets_an_answer_and_not_only_the_broker_s_refusal() -> None:
    assert Bounds().request >= 2 * MAX_BODY_BYTES - 4096


def test_a_dead_letter_keeps_a_whole_request() -> None:
    assert Bounds().letter > Bounds().request


@pytest.mark.parametrize("place", [HUB, "site1"])
def test_a_durable_that_fills_its_dead_letters_leaves_room_for_those_of_all_others(place: str) -> None:
    owners = ("payments", "web")
    dead = topology(["site1"], owners=owners).stream(subjects.dead_letter_stream(place))
    share = dead.max_msgs_per_subject * (dead.max_msg_size or 0)

    assert len(dead_lettered_at(place, owners)) * share <= (dead.max_bytes or 0)


def test_owners_that_fill_their_requests_leave_room_for_those_of_all_others() -> None:
    requests = topology([], owners=["a", "b", "c"]).stream(subjects.REQUESTS)

    assert 3 * requests.max_msgs_per_subject * (requests.max_msg_size or 0) <= (requests.max_bytes or 0)


def test_what_the_streams_reserve_fits_a_broker_of_a_hundred_sites() -> None:
    sites, owners = [f"site{number}" for number in range(100)], [f"owner{number}" for number in range(100)]
    base = topology([]).reserved_bytes
    site = topology(sites[:1]).reserved_bytes - base
    owner = topology([], owners=owners[:2]).reserved_bytes - topology([], owners=owners[:1]).reserved_bytes

    assert base < 560 * _MIB
    assert site < 64 * _MIB
    assert owner < 38 * _MIB
    assert topology(sites, owners=owners).reserved_bytes < 10.5 * 1024 * _MIB


def test_every_stream_has_a_size_and_a_largest_message() -> None:
    for config in topology(["site1"], owners=["payments"]).streams:
        assert (config.max_bytes or 0) > 0
        assert 0 < (config.max_msg_size or 0) < _MIB


def test_message_ids_of_others_are_remembered_for_minutes_only() -> None:
    """The broker keeps them in memory, as many as are published."""
    for config in topology(["site1"], owners=["payments"]).streams:
        theirs = (config.name or "").startswith(("REQUESTS", "STATUS", "LAST", "DLQ"))
        assert config.duplicate_window == (120 if theirs else 86_400)

"""What the services report, what the registry makes of it, and what it refuses to make of it."""

import json
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from certcore.api import CertificateState, EndpointState, TargetState
from certcore.bundles import SealedBundle
from certcore.events import (
    DeliverySucceeded,
    DeploymentOrdered,
    DiscoveredSecret,
    EndpointObserved,
    Event,
    RevisionIssued,
    RevisionStarted,
    ServingVerdict,
    SiteHeartbeat,
    SiteReviewed,
)
from certcore.placements import Action
from tests.integration.registry.bus import Bus, eventually
from tests.integration.registry.reported import DURABLE, announced, everywhere, items, relayed
from tests.integration.registry.stand_ins import SERVICE_OF_KIND, StandIns
from tests.registry_process import Person, RunningRegistry

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="package")]


async def test_a_certificate_lives_by_the_proof_of_every_endpoint_and_target(
    services: StandIns, bus: Bus, registry: RunningRegistry, deliverers: dict[str, Person]
) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    certificate = await services.requested(everywhere())
    name = certificate.name

    await services.started(certificate)
    await services.settled()
    issuing = await services.shown(name)
    assert (issuing.state, issuing.reason) == (CertificateState.ISSUING, "revision 1 is being ordered from ca-one")

    issued = await services.hand_over(certificate)
    assert (await services.shown(name)).revision is None
    assert (await services.shown(name)).state is CertificateState.ISSUING
    await services.announced(certificate, 1, issued)
    await services.settled()
    delivering = await services.shown(name)
    assert delivering.state is CertificateState.DELIVERING
    assert "0 of 3 targets hold it, 0 of 4 endpoints serve it" in delivering.reason
    assert delivering.revision is not None
    assert (delivering.revision.serial, delivering.revision.fingerprint_sha256) == (issued.serial, issued.fingerprint)
    assert (delivering.revision.ca, delivering.revision.validation_method) == ("ca-one", "dns-01")
    assert {target.state for target in delivering.targets} == {TargetState.PENDING}

    # Each service of each site is ordered what it should hold, and can open it.
    await relayed(registry)
    for deliverer in ("site1-syncer", "site1-pusher", "site2-syncer"):
        person, (place, service) = deliverers[deliverer], deliverer.split("-")
        [message] = await bus.messages(f"DEPLOY_{place}", f"certs.deploy.{place}.{service}.{certificate.id}")
        order = DeploymentOrdered.model_validate_json(message.data or b"")
        [placement] = order.placements
        assert placement.target.place == place
        assert (placement.generation, placement.action, placement.variant) == (1, Action.HOLD, "platform")
        assert (placement.revision, placement.fingerprint_sha256) == (1, issued.fingerprint)
        assert (placement.serial, placement.not_after) == (issued.serial, issued.leaf.not_valid_after_utc)
        listed = await items(person, "/v1/deployments", DeploymentOrdered)
        assert [item for item in listed if item.certificate_id == certificate.id] == [order]
        fetched = await person.get(f"/v1/bundles/{certificate.id}/1")
        bundle = SealedBundle.model_validate_json(fetched.content)
        assert bundle.sha256() == placement.bundle_sha256
        opened = bundle.open(registry.keys[deliverer])
        assert (opened.leaf.serial, opened.key_pem) == (issued.serial, issued.key_pem.encode())

    # Whatever the order in which they come, only the last report makes it live.
    reports: list[Callable[[], Any]] = [
        *(
            lambda target=target.name: services.delivered(certificate, target, 1, issued)
            for target in certificate.targets
        ),
        *(
            lambda url=endpoint.url: services.served(certificate, url, 1, issued)
            for endpoint in certificate.endpoints
        ),
    ]
    random.Random(seed).shuffle(reports)
    for number, report in enumerate(reports, start=1):
        await report()
        await services.settled()
        present = await services.shown(name)
        done = number == len(reports)
        assert present.state is (CertificateState.LIVE if done else CertificateState.DELIVERING)
        assert ("waiting for" in present.reason) != done
    assert {target.state for target in present.targets} == {TargetState.VERIFIED}
    assert {endpoint.state for endpoint in present.endpoints} == {EndpointState.SERVED}
    assert {endpoint.served_fingerprint_sha256 for endpoint in present.endpoints} == {issued.fingerprint}

    await relayed(registry)
    assert await announced(bus, certificate) == [
        "requested",
        "approved",
        "issued",
        "expected",
        "delivered",
        "delivered",
        "delivered",
        "live",
    ]


@pytest.mark.parametrize(
    ("verdict", "revision", "state"),
    [
        (ServingVerdict.PREVIOUS, None, EndpointState.PREVIOUS),
        (ServingVerdict.OTHER, None, EndpointState.MISMATCH),
        (ServingVerdict.EXPIRED, 1, EndpointState.MISMATCH),
        (ServingVerdict.WRONG_HOST, 1, EndpointState.MISMATCH),
        (ServingVerdict.UNTRUSTED, 1, EndpointState.MISMATCH),
        (ServingVerdict.TLS_FAILED, None, EndpointState.UNREACHABLE),
        (ServingVerdict.UNREACHABLE, None, EndpointState.UNREACHABLE),
    ],
)
async def test_anything_but_the_wanted_revision_is_no_proof(
    services: StandIns, verdict: ServingVerdict, revision: int | None, state: EndpointState
) -> None:
    certificate = await services.requested()
    issued = await services.issue(certificate)
    url = certificate.endpoints[0].url
    await services.delivered(certificate, "host", 1, issued)
    await services.observed(certificate, url, verdict, revision, issued)
    await services.settled()
    present = await services.shown(certificate.name)
    assert present.state is CertificateState.DELIVERING
    assert (present.endpoints[0].state, present.targets[0].state) == (state, TargetState.DELIVERED)
    assert url in present.reason
    await services.served(certificate, url, 1, issued)
    await services.settled()
    assert (await services.shown(certificate.name)).state is CertificateState.LIVE


async def test_a_leaf_proves_by_its_fingerprint_whatever_the_monitor_calls_it(services: StandIns) -> None:
    """An observation may cross a change of what is wanted on its way."""
    certificate = await services.requested()
    issued = await services.issue(certificate)
    url = certificate.endpoints[0].url
    await services.delivered(certificate, "host", 1, issued)
    await services.observed(
        certificate, url, ServingVerdict.WANTED, 1, services.authority.issue("other.example.test")
    )
    await services.settled()
    present = await services.shown(certificate.name)
    assert (present.state, present.endpoints[0].state) == (CertificateState.DELIVERING, EndpointState.PREVIOUS)
    await services.observed(certificate, url, ServingVerdict.WANTED, 7, issued)
    await services.settled()
    assert (await services.shown(certificate.name)).state is CertificateState.LIVE
    [row] = services.registry.process.rows("SELECT proven FROM endpoint WHERE certificate_id = ?", certificate.id)
    assert row["proven"] == 1


async def test_a_target_that_failed_is_shown_with_its_reason_and_holds_the_proof_back(services: StandIns) -> None:
    certificate = await services.requested()
    issued = await services.issue(certificate)
    await services.served(certificate, certificate.endpoints[0].url, 1, issued)
    await services.not_delivered(certificate, "host", 1)
    await services.settled()
    present = await services.shown(certificate.name)
    assert present.state is CertificateState.DELIVERING
    assert "host (unreachable: no answer)" in present.reason
    assert (present.targets[0].state, present.targets[0].reason) == (TargetState.FAILED, "unreachable: no answer")
    assert present.targets[0].next_try is not None
    await services.delivered(certificate, "host", 1, issued)
    await services.settled()
    present = await services.shown(certificate.name)
    assert (present.state, present.targets[0].state) == (CertificateState.LIVE, TargetState.VERIFIED)


async def test_what_is_seen_later_changes_the_grid_and_not_the_state(services: StandIns) -> None:
    certificate = await services.requested()
    issued = await services.make_live(certificate)
    url = certificate.endpoints[0].url
    await services.observed(certificate, url, ServingVerdict.OTHER)
    await services.settled()
    present = await services.shown(certificate.name)
    assert (present.state, present.endpoints[0].state) == (CertificateState.LIVE, EndpointState.MISMATCH)
    # An older look that arrives late changes nothing.
    long_ago = datetime.now(UTC) - timedelta(minutes=5)
    await services.observed(certificate, url, ServingVerdict.WANTED, 1, issued, at=long_ago)
    await services.settled()
    assert (await services.shown(certificate.name)).endpoints == present.endpoints


async def test_a_report_under_a_wrong_subject_is_set_aside_and_changes_nothing(
    services: StandIns, bus: Bus, registry: RunningRegistry
) -> None:
    certificate = await services.requested()
    issued = await services.issue(certificate)
    await services.settled()
    await relayed(registry)
    url = certificate.endpoints[0].url
    delivered = DeliverySucceeded(
        certificate_id=certificate.id,
        generation=1,
        revision=1,
        target="host",
        fingerprint_sha256=issued.fingerprint,
    )
    seen = EndpointObserved(
        certificate_id=certificate.id,
        url=url,
        verdict=ServingVerdict.WANTED,
        served_revision=1,
        served_fingerprint_sha256=issued.fingerprint,
        addresses=(),
        observed_at=datetime.now(UTC),
    )
    started = RevisionStarted(certificate_id=certificate.id, revision=1, ca="ca-one")
    ready = RevisionIssued(
        certificate_id=certificate.id,
        revision=1,
        fingerprint_sha256=issued.fingerprint,
        ca="x",
        validation_method="x",
        ari_id=None,
    )
    heartbeat = SiteHeartbeat(site="site1", service="syncer", version="1")
    review = SiteReviewed(site="site1", secrets=())
    wrong: list[tuple[Event, str, str]] = [
        (delivered, "site2", "syncer"),
        (delivered, "site1", "pusher"),
        (delivered, "hub", "issuer"),
        (delivered, "hub", "syncer"),
        (delivered.model_copy(update={"target": "elsewhere"}), "site1", "syncer"),
        (delivered.model_copy(update={"certificate_id": "nothing"}), "site1", "syncer"),
        (seen, "site1", "syncer"),
        (seen, "hub", "issuer"),
        (started, "hub", "monitor"),
        (started, "site1", "issuer"),
        (ready, "site1", "syncer"),
        (ready, "hub", "registry"),
        (heartbeat, "site2", "syncer"),
        (heartbeat, "site1", "pusher"),
        (review, "site2", "syncer"),
        (review, "site1", "pusher"),
    ]
    before, letters = registry.process.dump(), len(await bus.dead_letters(DURABLE))
    for event, place, service in wrong:
        await services.report(event, place=place, service=service, about=certificate.id)
    await services.settled()
    found = (await bus.dead_letters(DURABLE))[letters:]
    assert len(found) == len(wrong)
    assert {(letter.headers or {})["certbus-fate"] for letter in found} == {"permanent"}
    assert registry.process.dump() == before


async def test_nobody_s_report_is_taken_for_another_s(services: StandIns) -> None:
    """One id and one source in two reports: who reports is read from the subject alone."""
    certificate = await services.requested(everywhere())
    issued = await services.issue(certificate)
    for target in certificate.targets:
        event = DeliverySucceeded(
            certificate_id=certificate.id,
            generation=1,
            revision=1,
            target=target.name,
            fingerprint_sha256=issued.fingerprint,
        )
        service = SERVICE_OF_KIND[target.kind]
        await services.report(
            event, place=target.site, service=service, about=certificate.id, event_id="same", source="same"
        )
    await services.settled()
    present = await services.shown(certificate.name)
    assert {target.state for target in present.targets} == {TargetState.DELIVERED}


async def test_a_poisoned_report_blocks_nobody(services: StandIns, bus: Bus, registry: RunningRegistry) -> None:
    certificate = await services.requested()
    issued = await services.issue(certificate)
    await services.settled()
    await relayed(registry)
    kind = DeliverySucceeded.type
    good = {
        "certificate_id": certificate.id,
        "generation": 1,
        "revision": 1,
        "target": "host",
        "fingerprint_sha256": "x",
    }
    subject = f"certs.status.site1.syncer.delivery_succeeded.{certificate.id}"
    bodies = [
        b"",
        b"{",
        b"null",
        b"[]",
        b"7",
        b'"x"',
        b"\xff\xfe",
        b"[" * 50_000,
        b"{}",
        json.dumps({**good, "revision": "one"}).encode(),
        json.dumps({**good, "revision": None}).encode(),
        json.dumps({**good, "target": 7}).encode(),
        json.dumps({key: value for key, value in good.items() if key != "target"}).encode(),
        json.dumps(good).encode()[:-1] + b', "repaired": "perhaps"}',
        b'{"certificate_id": "\\ud800"}',
        b"x" * 800_000,
    ]
    before, letters = registry.process.dump(), len(await bus.dead_letters(DURABLE))
    for number, body in enumerate(bodies):
        headers = {
            "ce-id": f"poison-{number}",
            "ce-type": kind,
            "ce-source": "test",
            "content-type": "application/json",
        }
        await bus.publish(subject, body, headers)
    others = [
        {"ce-id": "odd-1", "ce-type": "certbus.delivery.succeeded.v9"},
        {"ce-id": "odd-2", "ce-type": "tüpe 🎉\x7f"},
        {"ce-id": "odd-3"},
        {"ce-type": kind},
        {},
    ]
    for headers in others:
        await bus.js.publish(subject, json.dumps(good).encode(), headers=headers)
    await bus.publish("certs.status.site1.short", json.dumps(good).encode(), {"ce-id": "odd-4", "ce-type": kind})
    await services.delivered(certificate, "host", 1, issued)

    async def delivered() -> bool:
        return (await services.shown(certificate.name)).targets[0].state is TargetState.DELIVERED

    await eventually(delivered, what="the good report after the poisoned ones")
    await services.settled()
    found = (await bus.dead_letters(DURABLE))[letters:]
    assert len(found) == len(bodies) + len(others) + 1
    assert {(letter.headers or {})["certbus-fate"] for letter in found} == {"permanent", "invalid_payload"}
    after = registry.process.dump()
    assert len(after["inbox"]) == len(before["inbox"]) + 1
    for table in ("revision", "bundle", "endpoint", "audit", "site"):
        assert after[table] == before[table]


async def test_a_site_s_heartbeat_and_review_are_shown(services: StandIns, registry: RunningRegistry) -> None:
    certificate = await services.requested()
    now = datetime.now(UTC)
    secrets = (
        DiscoveredSecret(
            cluster="east", namespace="web", secret="later", manager="helm", not_after=now + timedelta(days=9)
        ),
        DiscoveredSecret(cluster="east", namespace="web", secret="broken", manager="", problem="no certificate"),
        DiscoveredSecret(
            cluster="east",
            namespace="web",
            secret="ours",
            manager="certbus",
            not_after=now + timedelta(days=3),
            certificate_id=certificate.id,
        ),
    )
    heartbeat = SiteHeartbeat(site="site2", service="syncer", version="1", clusters=("east",))
    await services.report(heartbeat, place="site2", service="syncer", about="site2")
    review = SiteReviewed(site="site2", secrets=secrets, unreachable=("west",))
    await services.report(review, place="site2", service="syncer", about="site2")
    await services.settled()
    sites = {site["name"]: site for site in (await registry.admin.get("/v1/sites")).json()["items"]}
    assert "hub" not in sites
    assert sites["site2"]["last_heartbeat"] is not None
    assert sites["site1"]["services"] == ["pusher", "syncer"]
    shown = (await registry.admin.get("/v1/sites/site2/review")).json()
    assert [(item["secret"], item["managed"], item["in_days"]) for item in shown["secrets"]] == [
        ("ours", certificate.name, 2),
        ("later", None, 8),
        ("broken", None, None),
    ]
    assert shown["unreachable"] == ["west"]


async def test_metrics_have_no_series_of_a_certificate_nor_an_endpoint(
    services: StandIns, registry: RunningRegistry
) -> None:
    async def series() -> set[str]:
        text = (await registry.http.get("/metrics")).text
        return {line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")}

    async def one_more_adds_none() -> bool:
        before = await series()
        await services.make_live(await services.requested())
        await services.settled()
        return await series() == before

    # The background adds series too, of its first rounds; a series of a certificate would come again each time.
    await eventually(one_more_adds_none, what="a certificate without a new series")
    assert any("certs.last.hub.monitor.observed" in one for one in await series())

"""What the services report, what the registry makes of it, and what it refuses to make of it."""

import json
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from certcore import subjects
from certcore.api import CertificateState, CertificateView, EndpointState, Role, TargetState
from certcore.bundles import SealedBundle, SealedKey
from certcore.events import (
    DeliverySucceeded,
    DeploymentOrdered,
    DiscoveredSecret,
    EndpointObserved,
    EndpointsExpected,
    Event,
    IssueOrder,
    RevisionIssued,
    RevisionStarted,
    ServingVerdict,
    SiteHeartbeat,
    SiteReviewed,
)
from certcore.targets import SERVICE_OF_KIND
from certcore.topology import topology
from tests.integration.registry.bodies import Body, a_body
from tests.integration.registry.bus import Bus, eventually
from tests.integration.registry.stand_ins import StandIns
from tests.registry_process import Person, RunningRegistry

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="package")]

DURABLE = "registry-status"


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def services(registry: RunningRegistry, bus: Bus) -> StandIns:
    return await StandIns.start(registry, bus)


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def deliverers(registry: RunningRegistry) -> dict[str, Person]:
    return {
        name: await registry.service(name, Role.DELIVERER, site=name.split("-")[0], kind=name.split("-")[1])
        for name in ("site1-syncer", "site1-pusher", "site2-syncer")
    }


def everywhere() -> Body:
    """Three targets of three services at two sites, each with an endpoint, and one endpoint that proves all."""
    body = a_body()
    host = body["dns_names"][0]
    return {
        **body,
        "targets": [
            {"kind": "files", "name": "host", "site": "site1"},
            {"kind": "haproxy", "name": "edge", "site": "site1"},
            {"kind": "kubernetes", "name": "pods", "site": "site2", "namespaces": ["web"], "secret": "tls"},
        ],
        "endpoints": [
            {"url": f"https://{host}:8441", "target": "host"},
            {"url": f"https://{host}:8442", "target": "edge"},
            {"url": f"https://{host}:8443", "target": "pods"},
            {"url": f"https://{host}"},
        ],
    }


async def announced(bus: Bus, certificate: CertificateView) -> list[str]:
    """The names of the events that everyone was told about a certificate, in order."""
    messages = await bus.messages("CERTS", f"certs.ev.*.{certificate.id}")
    return [(message.subject or "").split(".")[2] for message in messages]


async def told(services: StandIns, certificate: CertificateView, event: type[Event]) -> list[Any]:
    """Every event of a kind about a certificate, as the stream holds it."""
    await relayed(services.registry)
    subject = subjects.event(event.type, certificate.id)
    return [
        event.model_validate_json(message.data or b"") for message in await services.bus.messages("CERTS", subject)
    ]


async def relayed(registry: RunningRegistry) -> None:
    """Wait until everything that is stored was published."""

    async def look() -> bool:
        return not registry.process.rows("SELECT id FROM event WHERE sent_at IS NULL")

    await eventually(look, what="the outbox is empty")


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
    for deliverer, person in deliverers.items():
        site, service = deliverer.split("-")
        [message] = await bus.messages(f"DEPLOY_{site}", f"certs.deploy.{site}.{service}.{certificate.id}")
        order = DeploymentOrdered.model_validate_json(message.data or b"")
        assert [target.site for target in order.targets] == [site]
        assert (order.revision, order.fingerprint_sha256) == (1, issued.fingerprint)
        listed = [DeploymentOrdered.model_validate(item) for item in (await person.get("/v1/deployments")).json()]
        assert [item for item in listed if item.certificate_id == certificate.id] == [order]
        fetched = await person.get(f"/v1/bundles/{certificate.id}/1")
        bundle = SealedBundle.model_validate_json(fetched.content)
        assert bundle.sha256() == order.bundle_sha256
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
        "expected",
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
        (ServingVerdict.WANTED, 7, EndpointState.PREVIOUS),
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


async def test_a_site_can_t_fetch_another_s_bundle_nor_learn_that_it_is_there(
    services: StandIns, registry: RunningRegistry, deliverers: dict[str, Person]
) -> None:
    certificate = await services.requested()
    path = f"/v1/bundles/{certificate.id}/1"
    before = await deliverers["site2-syncer"].get(path)
    await services.issue(certificate)
    strangers = [deliverers["site2-syncer"], deliverers["site1-pusher"], services.issuer, registry.admin]
    for person in strangers:
        after = await person.get(path)
        assert after.status_code == before.status_code == 404
        assert after.content == before.content
        assert after.headers.keys() == before.headers.keys()
    assert (await deliverers["site1-syncer"].get(path)).status_code == 200
    fetches = registry.process.rows(
        "SELECT actor FROM audit WHERE action = 'fetch bundle' AND object = ?", f"{certificate.id}/1"
    )
    assert [row["actor"] for row in fetches] == ["site1-syncer"]


async def test_a_report_under_a_wrong_subject_is_set_aside_and_changes_nothing(
    services: StandIns, bus: Bus, registry: RunningRegistry
) -> None:
    certificate = await services.requested()
    issued = await services.issue(certificate)
    await services.settled()
    await relayed(registry)
    url = certificate.endpoints[0].url
    delivered = DeliverySucceeded(
        certificate_id=certificate.id, revision=1, target="host", fingerprint_sha256=issued.fingerprint
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
            certificate_id=certificate.id, revision=1, target=target.name, fingerprint_sha256=issued.fingerprint
        )
        service = SERVICE_OF_KIND[target.kind]
        await services.report(
            event, place=target.site, service=service, about=certificate.id, event_id="same", source="same"
        )
    await services.settled()
    present = await services.shown(certificate.name)
    assert {target.state for target in present.targets} == {TargetState.DELIVERED}


async def test_reports_about_an_old_revision_are_ignored(services: StandIns, registry: RunningRegistry) -> None:
    certificate = await services.requested()
    first = await services.make_live(certificate)
    await services.asker.post(f"/v1/certificates/{certificate.name}/renew")
    second = await services.make_live(certificate, 2)
    await relayed(registry)
    before = registry.process.dump()
    await services.started(certificate, 1)
    await services.announced(certificate, 1, first)
    await services.failed(certificate, 1)
    await services.failed(certificate, 2)
    await services.delivered(certificate, "host", 1, first)
    await services.not_delivered(certificate, "host", 1)
    await services.announced(certificate, 2, second)
    await services.delivered(certificate, "host", 2, second)
    await services.settled()
    after = registry.process.dump()
    assert len(after.pop("inbox")) == len(before.pop("inbox")) + 8
    assert after == before


async def test_a_replay_of_the_whole_stream_changes_nothing(mortal: RunningRegistry) -> None:
    async with Bus.connect(mortal.nats_url) as bus:
        services = await StandIns.start(mortal, bus)
        for _ in range(2):
            certificate = await services.requested(everywhere())
            issued = await services.make_live(certificate)
            await services.asker.post(f"/v1/certificates/{certificate.name}/renew")
            await services.make_live(certificate, 2)
            await services.observed(certificate, certificate.endpoints[0].url, ServingVerdict.PREVIOUS, 1, issued)
        heartbeat = SiteHeartbeat(site="site1", service="syncer", version="1")
        await services.report(heartbeat, place="site2", service="syncer", about="site1")
        await services.settled()
        await relayed(mortal)
        before, letters = mortal.process.dump(), len(await bus.dead_letters(DURABLE))
        assert letters > 0

        stored = (await bus.js.stream_info("STATUS")).state.messages
        assert stored > 30
        # Stopped meanwhile, it needs not find out that its consumer went away.
        await mortal.process.stop()
        await bus.js.delete_consumer("STATUS", DURABLE)
        [consumer] = [item for item in topology([]).consumers if item.durable == DURABLE]
        await bus.js.add_consumer("STATUS", consumer.config())
        await mortal.process.start()
        await services.settled()
        info = await bus.js.consumer_info("STATUS", DURABLE)
        assert info.delivered is not None
        assert info.delivered.consumer_seq >= stored
        assert mortal.process.dump() == before
        # What was set aside is set aside again, under the same id as before.
        assert len(await bus.dead_letters(DURABLE)) == letters


async def test_a_renewal_accepts_both_revisions_until_the_new_one_is_seen(
    services: StandIns, bus: Bus, registry: RunningRegistry
) -> None:
    monitor = await registry.service("monitor", Role.MONITOR)
    certificate = await services.requested(everywhere())
    first = await services.make_live(certificate)
    answer = await services.asker.post(f"/v1/certificates/{certificate.name}/renew")
    assert (answer.status_code, answer.json()["revision"], answer.json()["reason"]) == (202, 2, "asked")
    again = await services.asker.post(f"/v1/certificates/{certificate.name}/renew")
    assert (again.status_code, again.json()["revision"], again.json()["reason"]) == (202, 2, "in_progress")
    renewing = await services.shown(certificate.name)
    assert renewing.state is CertificateState.RENEWING
    assert renewing.trace_id != certificate.trace_id
    await relayed(registry)
    [due] = await bus.messages("CERTS", f"certs.ev.renewal_due.{certificate.id}")
    order = IssueOrder.model_validate(json.loads(due.data or b"")["order"])
    assert (order.revision, order.replaces) == (2, "ari-1")
    assert {recipient.name for recipient in order.recipients} == {"site1-syncer", "site1-pusher", "site2-syncer"}

    second = await services.issue(certificate, 2)
    for target in certificate.targets:
        await services.delivered(certificate, target.name, 2, second)
    for endpoint in certificate.endpoints[1:]:
        await services.served(certificate, endpoint.url, 2, second)
    await services.settled()
    waiting = await services.shown(certificate.name)
    assert (waiting.state, waiting.endpoints[0].state) == (CertificateState.DELIVERING, EndpointState.PREVIOUS)
    both = (await told(services, certificate, EndpointsExpected))[-1]
    assert both.wanted_revision == 2
    assert [item.fingerprint_sha256 for item in both.accepted] == [second.fingerprint, first.fingerprint]
    asked = [EndpointsExpected.model_validate(item) for item in (await monitor.get("/v1/expectations")).json()]
    assert both in asked

    await services.served(certificate, certificate.endpoints[0].url, 2, second)
    await services.settled()
    assert (await services.shown(certificate.name)).state is CertificateState.LIVE
    one = (await told(services, certificate, EndpointsExpected))[-1]
    assert [item.fingerprint_sha256 for item in one.accepted] == [second.fingerprint]


async def test_a_revision_that_failed_is_tried_again_under_its_number(services: StandIns, bus: Bus) -> None:
    certificate = await services.requested()
    again = datetime.now(UTC) + timedelta(hours=1)
    await services.failed(certificate, 1, "the CA refused app.example.test", again=again)
    await services.settled()
    failing = await services.shown(certificate.name)
    assert (failing.state, failing.next_try) == (CertificateState.FAILING, again)
    assert failing.reason == "revision 1 was not issued: the CA refused app.example.test"

    answer = await services.asker.post(f"/v1/certificates/{certificate.name}/renew")
    assert (answer.status_code, answer.json()["revision"]) == (202, 1)
    await services.make_live(certificate)
    assert (await services.shown(certificate.name)).state is CertificateState.LIVE

    # A renewal that fails leaves the old revision where it is.
    await services.asker.post(f"/v1/certificates/{certificate.name}/renew")
    await services.failed(certificate, 2)
    await services.settled()
    failing = await services.shown(certificate.name)
    assert (failing.state, failing.wanted_revision) == (CertificateState.FAILING, 1)
    assert {endpoint.state for endpoint in failing.endpoints} == {EndpointState.SERVED}
    assert (await services.asker.post(f"/v1/certificates/{certificate.name}/renew")).json()["revision"] == 2
    await services.make_live(certificate, 2)
    present = await services.shown(certificate.name)
    assert (present.state, present.wanted_revision) == (CertificateState.LIVE, 2)
    await relayed(services.registry)
    assert await announced(bus, certificate) == [
        *("requested", "approved", "failing", "renewal_due", "issued", "expected", "delivered", "live", "expected"),
        *("renewal_due", "failing", "renewal_due", "issued", "expected", "delivered", "live", "expected"),
    ]


async def test_a_long_reason_of_a_failure_is_cut_and_stops_no_other_event(services: StandIns, bus: Bus) -> None:
    certificate = await services.requested()
    await services.failed(certificate, 1, "no " * 340_000)
    await services.make_live(await services.requested())
    await services.settled()
    failing = await services.shown(certificate.name)
    assert failing.state is CertificateState.FAILING
    assert len(failing.reason) < 1000
    await relayed(services.registry)
    assert await announced(bus, certificate) == ["requested", "approved", "failing"]


async def test_a_bundle_that_was_not_ordered_so_is_refused(services: StandIns, registry: RunningRegistry) -> None:
    certificate, other = await services.requested(everywhere()), await services.requested()
    right = services.authority.issue(*certificate.dns_names)
    fewer = services.authority.issue(*other.dns_names)
    more = services.authority.issue(*certificate.dns_names, "more.example.org")
    keys = services.sealed(certificate, 1, right.key_pem)
    plain = SealedKey.of(keys[0].recipient, right.key_pem.encode())
    stranger = SealedKey(recipient="site9-syncer", sealed=keys[0].sealed)
    await relayed(registry)
    before = registry.process.dump()
    for status, detail, response in (
        (404, "no certificate", await services.put("nothing", 1, right.chain_pem, keys)),
        (409, "not ordered", await services.put(certificate.id, 2, right.chain_pem, keys)),
        (409, "other names", await services.put(certificate.id, 1, fewer.chain_pem, keys)),
        (409, "other names", await services.put(certificate.id, 1, more.chain_pem, keys)),
        (409, "not sealed to", await services.put(certificate.id, 1, right.chain_pem, keys[1:])),
        (409, "not sealed to", await services.put(certificate.id, 1, right.chain_pem, [*keys, stranger])),
        (409, "not sealed to", await services.put(certificate.id, 1, right.chain_pem, [])),
        (422, "not sealed", await services.put(certificate.id, 1, right.chain_pem, [plain, *keys[1:]])),
        (422, "not sealed", await services.put(certificate.id, 1, right.chain_pem + right.key_pem, keys)),
        (422, "hang together", await services.put(certificate.id, 1, right.leaf_pem + fewer.leaf_pem, keys)),
        (422, "no certificate", await services.put(certificate.id, 1, "nothing", keys)),
    ):
        assert (response.status_code, detail in response.json()["detail"]) == (status, True), response.text
        assert "BEGIN" not in response.text
    assert registry.process.dump() == before


async def test_a_bundle_is_stored_once_and_never_replaced(services: StandIns, registry: RunningRegistry) -> None:
    certificate = await services.requested()
    issued = await services.hand_over(certificate)
    await relayed(registry)
    before = registry.process.dump()
    keys = services.sealed(certificate, 1, issued.key_pem)
    same = await services.put(certificate.id, 1, issued.chain_pem, keys)
    assert same.status_code == 204
    another = services.authority.issue(*certificate.dns_names)
    refused = await services.put(certificate.id, 1, another.chain_pem, keys)
    assert (refused.status_code, "with another leaf" in refused.json()["detail"]) == (409, True)
    assert registry.process.dump() == before


async def test_one_leaf_is_no_revision_of_two_certificates(services: StandIns, registry: RunningRegistry) -> None:
    body = a_body()
    first = await services.requested(body)
    second = await services.requested({**body, "name": f"{body['name']}-again"})
    issued = await services.hand_over(first)
    keys = services.sealed(second, 1, issued.key_pem)
    await relayed(registry)
    before = registry.process.dump()
    refused = await services.put(second.id, 1, issued.chain_pem, keys)
    assert refused.status_code == 409, refused.text
    assert registry.process.dump() == before


async def test_only_the_certificates_of_a_chain_are_kept(services: StandIns, registry: RunningRegistry) -> None:
    certificate = await services.requested()
    issued = services.authority.issue(*certificate.dns_names)
    noisy = "subject=/CN=x\r\n" + issued.chain_pem.replace("\n", "\r\n") + "\nnothing more\n"
    keys = services.sealed(certificate, 1, issued.key_pem)
    assert (await services.put(certificate.id, 1, noisy, keys)).status_code == 204
    [row] = registry.process.rows("SELECT chain_pem FROM revision WHERE certificate_id = ?", certificate.id)
    assert row["chain_pem"] == issued.chain_pem


async def test_an_announcement_of_another_leaf_is_set_aside(services: StandIns, bus: Bus) -> None:
    certificate = await services.requested()
    await services.hand_over(certificate)
    before = len(await bus.dead_letters(DURABLE))
    await services.announced(certificate, 1, services.authority.issue(*certificate.dns_names))
    await services.settled()
    assert len(await bus.dead_letters(DURABLE)) == before + 1
    assert (await services.shown(certificate.name)).state is CertificateState.APPROVED


async def test_an_announcement_waits_for_its_bundle(services: StandIns) -> None:
    certificate = await services.requested()
    issued = services.authority.issue(*certificate.dns_names)
    await services.announced(certificate, 1, issued)

    async def retried() -> bool:
        return any(
            "announced but not stored" in line and certificate.name in line
            for line in services.registry.process.log_lines
        )

    await eventually(retried, what="the first try")
    keys = services.sealed(certificate, 1, issued.key_pem)
    assert (await services.put(certificate.id, 1, issued.chain_pem, keys)).status_code == 204
    await services.settled()
    assert (await services.shown(certificate.name)).state is CertificateState.DELIVERING


async def test_a_poisoned_report_blocks_nobody(services: StandIns, bus: Bus, registry: RunningRegistry) -> None:
    certificate = await services.requested()
    issued = await services.issue(certificate)
    await services.settled()
    await relayed(registry)
    kind = DeliverySucceeded.type
    good = {"certificate_id": certificate.id, "revision": 1, "target": "host", "fingerprint_sha256": "x"}
    subject = f"certs.status.site1.syncer.succeeded.{certificate.id}"
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
        b"x" * 900_000,
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
        {"ce-id": "odd-1", "ce-type": "certbus.delivery.succeeded.v2"},
        {"ce-id": "odd-2", "ce-type": "tüpe 🎉\x7f"},
        {"ce-id": "odd-3"},
        {"ce-type": kind},
        {},
    ]
    for headers in others:
        await bus.js.publish(subject, json.dumps(good).encode(), headers=headers)
    await bus.publish("certs.status.short", json.dumps(good).encode(), {"ce-id": "odd-4", "ce-type": kind})
    await services.delivered(certificate, "host", 1, issued)

    async def delivered() -> bool:
        return (await services.shown(certificate.name)).targets[0].state is TargetState.DELIVERED

    await eventually(delivered, what="the good report after the poisoned ones", timeout_s=5.0)
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
    sites = {site["name"]: site for site in (await registry.admin.get("/v1/sites")).json()}
    assert sites["site2"]["last_heartbeat"] is not None
    assert sites["site1"]["services"] == ["pusher", "syncer"]
    shown = (await registry.admin.get("/v1/sites/site2/review")).json()
    assert [(item["secret"], item["managed"], item["in_days"]) for item in shown["secrets"]] == [
        ("ours", certificate.name, 2),
        ("later", None, 8),
        ("broken", None, None),
    ]
    assert shown["unreachable"] == ["west"]

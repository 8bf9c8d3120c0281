"""Variants of a revision: one whose key the platform makes, and one whose key stays where the target made it."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from certcore.api import CertificateState, TargetState
from certcore.bundles import IssueReport, SealedBundle
from certcore.conditions import Health
from certcore.events import (
    CertificateApproved,
    CertificateApprovedForCsr,
    CertificateFailing,
    CertificateLive,
    CertificateRenewalDue,
    CertificateRenewalDueForCsr,
    CsrAccepted,
    CsrExpired,
    DeploymentOrdered,
    EndpointsExpected,
    IssueCause,
    RevisionFailed,
)
from issuer.domain.admission import objection_to
from issuer.domain.issued import check_issued
from issuer.domain.key_material import make_key_material
from tests.authority import key_pem
from tests.e2e.key_scan import forms_of, scan
from tests.integration.registry.bus import Bus
from tests.integration.registry.reported import DURABLE, items, relayed, told
from tests.integration.registry.stand_ins import StandIns
from tests.integration.registry.variants import (
    issue_box,
    level,
    live_host,
    offer,
    only_box,
    order_of,
    two_variants,
    wanted,
)
from tests.registry_process import Person, RunningRegistry
from tests.signing_requests import csr_pem

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="package")]


async def test_a_target_that_makes_its_own_key_goes_the_whole_way_beside_one_that_does_not(  # noqa: PLR0915 # one story
    services: StandIns, bus: Bus, registry: RunningRegistry, deliverers: dict[str, Person], tmp_path: Path
) -> None:
    certificate = await services.requested(two_variants())
    assert {(target.name, target.variant) for target in certificate.targets} == {("host", "platform"), ("box", "box")}

    # Both are asked for: the issuer for the platform's variant, the target for its signing request.
    [approved] = await told(services, certificate, CertificateApproved)
    assert [recipient.name for recipient in approved.order.recipients] == ["site1-syncer"]
    assert (approved.order.variant, approved.order.csr_pem) == ("platform", None)
    [asked] = await wanted(services, certificate)
    assert (asked.revision, asked.variant, asked.target.name) == (1, "box", "box")
    assert asked.target.fields == {"shelf": "left"}
    assert (asked.dns_names, asked.key_algorithm) == (certificate.dns_names, "ec-p256")
    assert await level(deliverers["site1-pusher"], certificate) == [asked]
    assert await level(deliverers["site1-syncer"], certificate) == []

    # The platform's variant waits for nobody.
    first = await live_host(services, certificate)
    present = await services.shown(certificate.name)
    assert (present.state, present.health) == (CertificateState.LIVE, Health.PROGRESSING)
    assert present.health_reason == "revision 1 for target box waits for its signing request"
    assert {target.name: target.state for target in present.targets} == {
        "host": TargetState.VERIFIED,
        "box": TargetState.PENDING,
    }
    expected = (await told(services, certificate, EndpointsExpected))[-1]
    assert [len(endpoint.wanted) for endpoint in expected.endpoints] == [1, 0]

    key = ec.generate_private_key(ec.SECP256R1())
    csr = csr_pem(*certificate.dns_names, key=key)
    # Pasted beside it by mistake, its key goes no further.
    await offer(services, certificate, csr + key_pem(key))
    order = await order_of(services, certificate)
    assert (order.revision, order.variant, order.csr_pem, order.recipients) == (1, "box", csr, ())
    assert (order.cause, order.approval_id) == (IssueCause.FIRST, approved.order.approval_id)
    assert await level(deliverers["site1-pusher"], certificate) == []
    present = await services.shown(certificate.name)
    assert present.health_reason == "revision 1 for target box waits for the CA"

    issued = await issue_box(services, certificate, order)
    await relayed(registry)
    [message] = await bus.messages("DEPLOY_site1", f"certs.deploy.site1.pusher.{certificate.id}")
    ordered = DeploymentOrdered.model_validate_json(message.data or b"")
    [placement] = ordered.placements
    assert (placement.target.name, placement.revision, placement.variant) == ("box", 1, "box")
    assert (placement.fingerprint_sha256, placement.serial) == (issued.fingerprint, issued.serial)
    listed = await items(deliverers["site1-pusher"], "/v1/deployments", DeploymentOrdered)
    assert ordered in listed
    host = await bus.messages("DEPLOY_site1", f"certs.deploy.site1.syncer.{certificate.id}")
    assert len(host) == 1

    # The bundle has no key, and is its place's alone.
    path = f"/v1/bundles/{certificate.id}/1?variant=box"
    for name, person in deliverers.items():
        response = await person.get(path)
        assert response.status_code == (200 if name == "site1-pusher" else 404), name
    bundle = SealedBundle.model_validate_json((await deliverers["site1-pusher"].get(path)).content)
    assert (bundle.key, bundle.variant, bundle.chain_pem) == (None, "box", issued.chain_pem)
    assert bundle.sha256() == placement.bundle_sha256
    assert (await deliverers["site1-pusher"].get(f"/v1/bundles/{certificate.id}/1")).status_code == 404

    # Each endpoint proves with the leaf of its own target.
    expected = (await told(services, certificate, EndpointsExpected))[-1]
    leaves = [[item.fingerprint_sha256 for item in endpoint.wanted] for endpoint in expected.endpoints]
    assert leaves == [[first.fingerprint], [issued.fingerprint]]
    await services.delivered(certificate, "box", 1, issued)
    await services.served(certificate, certificate.endpoints[1].url, 1, first)
    await services.settled()
    assert (await services.shown(certificate.name)).health is not Health.OK
    await services.served(certificate, certificate.endpoints[1].url, 1, issued)
    await services.settled()
    present = await services.shown(certificate.name)
    assert (present.state, present.health) == (CertificateState.LIVE, Health.OK)
    assert {target.state for target in present.targets} == {TargetState.VERIFIED}
    assert [(item.number, item.variant) for item in present.variants] == [(1, "platform"), (1, "box")]
    assert len(await told(services, certificate, CertificateLive)) == 1

    forms = forms_of(key_pem(key).encode())
    for stream in ("CERTS", "DEPLOY_site1", "STATUS_site1", "DLQ_hub"):
        said = [(item.data or b"") + str(item.headers).encode() for item in await bus.messages(stream)]
        (tmp_path / stream).write_bytes(b"".join(said))
    assert scan([registry.process.folder, tmp_path], forms) == []


async def test_the_issuer_issues_by_the_request_that_the_registry_accepted(services: StandIns) -> None:
    certificate = await services.requested(only_box())
    names, key = certificate.dns_names, ec.generate_private_key(ec.SECP256R1())
    await offer(services, certificate, csr_pem(*names, key=key, common_name=names[0]) + key_pem(key))
    order = await order_of(services, certificate)
    # What the issuer makes of it, in place of a scripted one.
    assert objection_to(order) is None
    made = make_key_material(order, escrow_public_key=None)
    issued = services.authority.sign(x509.load_der_x509_csr(made.csr_der).public_bytes(Encoding.PEM).decode(), *names)
    leaf = check_issued(issued.chain_pem, spki_sha256=made.spki_sha256, dns_names=names, now=datetime.now(UTC))
    report = IssueReport(ca="letsencrypt", validation_method="dns-01")
    keys = list(made.for_recipients())
    taken = await services.put(certificate.id, 1, issued.chain_pem, keys, variant=order.variant, report=report)
    assert (taken.status_code, taken.json()) == (200, {"reported": True})
    present = await services.shown(certificate.name)
    assert present.state is CertificateState.DELIVERING
    assert [(item.variant, item.serial) for item in present.variants] == [("box", leaf.serial)]


async def test_a_certificate_may_have_no_key_of_the_platform(services: StandIns) -> None:
    certificate = await services.requested(only_box())
    assert await told(services, certificate, CertificateApproved) == []
    [approved] = await told(services, certificate, CertificateApprovedForCsr)
    assert approved.targets == ("box",)
    assert (certificate.state, certificate.health) == (CertificateState.APPROVED, Health.PROGRESSING)
    for revision in (1, 2):
        await offer(services, certificate, csr_pem(*certificate.dns_names), revision=revision)
        order = await order_of(services, certificate)
        assert order.cause == (IssueCause.FIRST if revision == 1 else IssueCause.RENEWAL)
        issued = await issue_box(services, certificate, order)
        assert (await services.shown(certificate.name)).state is CertificateState.DELIVERING
        await services.delivered(certificate, "box", revision, issued)
        await services.served(certificate, certificate.endpoints[0].url, revision, issued)
        await services.settled()
        present = await services.shown(certificate.name)
        assert (present.state, present.wanted_revision) == (CertificateState.LIVE, revision)
        if revision == 1:
            answer = await services.asker.post(f"/v1/certificates/{certificate.name}/renew")
            assert (answer.status_code, answer.json()["revision"]) == (202, 2)
            [due] = await told(services, certificate, CertificateRenewalDueForCsr)
            assert (due.revision, due.targets) == (2, ("box",))
            [asked] = await wanted(services, certificate)
            assert asked.revision == 2


async def test_a_slow_variant_holds_up_no_renewal(services: StandIns, deliverers: dict[str, Person]) -> None:
    certificate = await services.requested(two_variants())
    await live_host(services, certificate)
    assert (await services.asker.post(f"/v1/certificates/{certificate.name}/renew")).status_code == 202
    # What it was asked for is replaced: it never began.
    assert [item.revision for item in await level(deliverers["site1-pusher"], certificate)] == [2]
    assert [item.revision for item in await wanted(services, certificate)] == [2]
    await live_host(services, certificate, 2)
    present = await services.shown(certificate.name)
    assert (present.state, present.wanted_revision, present.health) == (CertificateState.LIVE, 2, Health.PROGRESSING)
    await offer(services, certificate, csr_pem(*certificate.dns_names), revision=1)
    assert await told(services, certificate, CsrAccepted) == []

    # Its request went to the issuer: the next revision doesn't take it back.
    await offer(services, certificate, csr_pem(*certificate.dns_names), revision=2)
    order = await order_of(services, certificate)
    assert (await services.asker.post(f"/v1/certificates/{certificate.name}/renew")).status_code == 202
    assert await level(deliverers["site1-pusher"], certificate) == []
    await live_host(services, certificate, 3)
    issued = await issue_box(services, certificate, order)
    await services.delivered(certificate, "box", 2, issued)
    await services.served(certificate, certificate.endpoints[1].url, 2, issued)
    await services.settled()
    present = await services.shown(certificate.name)
    assert (present.health, {target.name: target.revision for target in present.targets}) == (
        Health.OK,
        {"host": 3, "box": 2},
    )


async def test_a_variant_that_is_there_is_not_asked_for_again_when_the_platform_s_is_tried_again(
    services: StandIns, deliverers: dict[str, Person]
) -> None:
    certificate = await services.requested(two_variants())
    await offer(services, certificate, csr_pem(*certificate.dns_names))
    await issue_box(services, certificate, await order_of(services, certificate))
    await services.failed(certificate, 1)
    await services.settled()
    answer = await services.asker.post(f"/v1/certificates/{certificate.name}/renew")
    assert (answer.status_code, answer.json()["revision"]) == (202, 1), answer.text
    assert await level(deliverers["site1-pusher"], certificate) == []
    [due] = await told(services, certificate, CertificateRenewalDue)
    assert due.order.variant == "platform"
    await live_host(services, certificate)
    assert (await services.shown(certificate.name)).wanted_revision == 1


async def test_a_variant_that_is_there_first_hides_nothing_of_the_platform_s(services: StandIns) -> None:
    certificate = await services.requested(two_variants())
    await offer(services, certificate, csr_pem(*certificate.dns_names))
    issued = await issue_box(services, certificate, await order_of(services, certificate))
    await services.delivered(certificate, "box", 1, issued)
    await services.served(certificate, certificate.endpoints[1].url, 1, issued)
    letters = len(await services.bus.dead_letters(DURABLE))
    await services.started(certificate)
    await services.settled()
    present = await services.shown(certificate.name)
    assert (present.state, present.health) == (CertificateState.LIVE, Health.PROGRESSING)
    again = await services.asker.post(f"/v1/certificates/{certificate.name}/renew")
    assert (again.status_code, "nothing issued" in again.json()["detail"]) == (409, True)
    await services.failed(certificate, 1)
    await services.settled()
    present = await services.shown(certificate.name)
    assert (present.state, present.health) == (CertificateState.FAILING, Health.DEGRADED)
    assert len(await services.bus.dead_letters(DURABLE)) == letters
    await live_host(services, certificate)
    present = await services.shown(certificate.name)
    assert (present.state, present.health) == (CertificateState.LIVE, Health.OK)


async def test_a_request_that_expired_is_asked_for_anew(services: StandIns, deliverers: dict[str, Person]) -> None:
    certificate = await services.requested(two_variants())
    first = csr_pem(*certificate.dns_names)
    await offer(services, certificate, first)
    expired = CsrExpired(certificate_id=certificate.id, target="box", revision=1, variant="box", detail="90 days")
    await services.tell(certificate, "box", expired)
    await services.settled()
    assert [item.revision for item in await level(deliverers["site1-pusher"], certificate)] == [1]
    # What was issued for the old request can't be stored any more.
    late = services.authority.sign(first, *certificate.dns_names)
    refused = await services.put(certificate.id, 1, late.chain_pem, [], variant="box")
    assert (refused.status_code, "was not ordered" in refused.json()["detail"]) == (409, True)
    second = csr_pem(*certificate.dns_names)
    await offer(services, certificate, second)
    assert [event.order.csr_pem for event in await told(services, certificate, CsrAccepted)] == [first, second]
    await issue_box(services, certificate, await order_of(services, certificate))
    # Too late: its certificate is there.
    await services.tell(certificate, "box", expired)
    await services.settled()
    assert await level(deliverers["site1-pusher"], certificate) == []


async def test_a_variant_that_fails_degrades_it_and_leaves_the_other_alone(services: StandIns) -> None:
    certificate = await services.requested(two_variants())
    await live_host(services, certificate)
    await offer(services, certificate, csr_pem(*certificate.dns_names))
    event = RevisionFailed(
        certificate_id=certificate.id, revision=1, variant="box", reason="no such profile", next_try=None
    )
    await services.report(event, place="hub", service="issuer", about=certificate.id)
    await services.settled()
    present = await services.shown(certificate.name)
    assert (present.state, present.health) == (CertificateState.LIVE, Health.DEGRADED)
    assert present.health_reason == "revision 1 for target box was not issued: no such profile"
    [failing] = await told(services, certificate, CertificateFailing)
    assert failing.variant == "box"
    await issue_box(services, certificate, await order_of(services, certificate))
    assert (await services.shown(certificate.name)).health is Health.PROGRESSING

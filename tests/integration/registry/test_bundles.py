"""Sealed bundles: stored once as ordered, fetched by their recipients alone, announced after that."""

from datetime import UTC, datetime, timedelta

import pytest

from certcore.api import CertificateState
from certcore.bundles import IssueReport, SealedKey
from certcore.events import CertificateIssued
from tests.integration.registry.bodies import a_body
from tests.integration.registry.bus import Bus, eventually
from tests.integration.registry.reported import DURABLE, everywhere, relayed, told
from tests.integration.registry.stand_ins import StandIns
from tests.registry_process import Person, RunningRegistry

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="package")]


async def test_a_site_can_t_fetch_another_s_bundle_nor_learn_that_it_is_there(
    services: StandIns, registry: RunningRegistry, deliverers: dict[str, Person]
) -> None:
    certificate = await services.requested()
    path = f"/v1/bundles/{certificate.id}/1"
    before = await deliverers["site2-syncer"].get(path)
    await services.issue(certificate)
    strangers = [
        *(deliverers["site2-syncer"], deliverers["site1-pusher"], deliverers["hub-pusher"]),
        *(services.issuer, registry.admin),
    ]
    for person in strangers:
        after = await person.get(path)
        assert after.status_code == before.status_code == 404
        assert after.content == before.content
        assert after.headers.keys() == before.headers.keys()
    assert (await deliverers["site1-syncer"].get(path)).status_code == 200
    query = "SELECT action, actor, way, roles FROM audit WHERE object = ? AND action LIKE '%bundle' ORDER BY sequence"
    noted = [tuple(row) for row in map(dict.values, registry.process.rows(query, f"{certificate.id}/1/platform"))]
    assert noted == [
        ("refused bundle", "site2-syncer", "token", "deliverer"),
        *(("refused bundle", name, "token", "deliverer") for name in ("site2-syncer", "site1-pusher", "hub-pusher")),
        ("refused bundle", "issuer", "token", "issuer"),
        ("refused bundle", "admin", "token", "admin, approver, auditor, operator, requester, viewer"),
        ("fetch bundle", "site1-syncer", "token", "deliverer"),
    ]


async def test_a_bundle_that_was_not_ordered_so_is_refused(services: StandIns, registry: RunningRegistry) -> None:
    certificate, other = await services.requested(everywhere()), await services.requested()
    right = services.authority.issue(*certificate.dns_names)
    fewer = services.authority.issue(*other.dns_names)
    more = services.authority.issue(*certificate.dns_names, "more.example.org")
    keys = services.sealed(certificate, 1, right.key_pem)
    plain = SealedKey.of(keys[0].recipient, right.key_pem.encode(), keys[0].key_id)
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


async def test_a_leaf_that_can_t_be_served_is_refused(services: StandIns, registry: RunningRegistry) -> None:
    certificate = await services.requested()
    names, now = certificate.dns_names, datetime.now(UTC)
    ended = services.authority.issue(*names, not_before=now - timedelta(days=9), not_after=now - timedelta(days=1))
    future = services.authority.issue(*names, not_before=now + timedelta(days=1), not_after=now + timedelta(days=9))
    other_key = (await services.requested(a_body(key_algorithm="rsa-2048"))).name
    await relayed(registry)
    before = registry.process.dump()
    for issued in (ended, future):
        keys = services.sealed(certificate, 1, issued.key_pem)
        refused = await services.put(certificate.id, 1, issued.chain_pem, keys)
        assert (refused.status_code, "and not now" in refused.json()["detail"]) == (409, True), refused.text
    wants_rsa = await services.shown(other_key)
    issued = services.authority.issue(*wants_rsa.dns_names)
    keys = services.sealed(wants_rsa, 1, issued.key_pem)
    refused = await services.put(wants_rsa.id, 1, issued.chain_pem, keys)
    assert (refused.status_code, "ec-p256, not rsa-2048" in refused.json()["detail"]) == (409, True), refused.text
    assert registry.process.dump() == before


async def test_a_bundle_is_stored_once_and_never_replaced(services: StandIns, registry: RunningRegistry) -> None:
    certificate = await services.requested()
    issued = await services.hand_over(certificate)
    await relayed(registry)
    before = registry.process.dump()
    keys = services.sealed(certificate, 1, issued.key_pem)
    same = await services.put(certificate.id, 1, issued.chain_pem, keys)
    assert same.status_code == 200
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
    assert (await services.put(certificate.id, 1, noisy, keys)).status_code == 200
    [row] = registry.process.rows("SELECT chain_pem FROM revision WHERE certificate_id = ?", certificate.id)
    assert row["chain_pem"] == issued.chain_pem


async def test_an_announcement_of_another_leaf_is_set_aside(services: StandIns, bus: Bus) -> None:
    certificate = await services.requested()
    await services.hand_over(certificate)
    # A report of before that is tried again may become a dead letter only now.
    await services.settled()
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
    assert (await services.put(certificate.id, 1, issued.chain_pem, keys)).status_code == 200
    await services.settled()
    assert (await services.shown(certificate.name)).state is CertificateState.DELIVERING


async def test_a_report_that_comes_with_the_bundle_needs_no_other_one(
    services: StandIns, registry: RunningRegistry
) -> None:
    certificate = await services.requested()
    issued = services.authority.issue(*certificate.dns_names)
    keys = services.sealed(certificate, 1, issued.key_pem)
    report = IssueReport(ca="letsencrypt", validation_method="dns-01", ari_id="a.b")
    taken = await services.put(certificate.id, 1, issued.chain_pem, keys, report=report)
    assert (taken.status_code, taken.json()) == (200, {"reported": True})
    assert (await services.shown(certificate.name)).state is CertificateState.DELIVERING
    [row] = registry.process.rows("SELECT * FROM revision WHERE certificate_id = ?", certificate.id)
    assert (row["ca"], row["validation_method"], row["ari_id"]) == ("letsencrypt", "dns-01", "a.b")
    [announced] = await told(services, certificate, CertificateIssued)
    assert announced.fingerprint_sha256 == issued.fingerprint
    await relayed(registry)
    before = registry.process.dump()
    # Its answer was lost; or the issuer is one version older, and reports by an event.
    again = await services.put(certificate.id, 1, issued.chain_pem, keys, report=report)
    assert (again.status_code, again.json()) == (200, {"reported": True})
    await services.announced(certificate, 1, issued)
    await services.settled()
    after = registry.process.dump()
    assert len(after.pop("inbox")) == len(before.pop("inbox")) + 1
    assert after == before


async def test_a_bundle_without_a_report_waits_for_it(services: StandIns) -> None:
    certificate = await services.requested()
    issued = services.authority.issue(*certificate.dns_names)
    keys = services.sealed(certificate, 1, issued.key_pem)
    taken = await services.put(certificate.id, 1, issued.chain_pem, keys)
    assert (taken.status_code, taken.json()) == (200, {"reported": False})
    assert (await services.shown(certificate.name)).state is CertificateState.APPROVED
    report = IssueReport(ca="letsencrypt", validation_method="dns-01")
    taken = await services.put(certificate.id, 1, issued.chain_pem, keys, report=report)
    assert taken.json() == {"reported": True}
    assert (await services.shown(certificate.name)).state is CertificateState.DELIVERING

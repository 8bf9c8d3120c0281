"""A rotated key: what its service should hold is listed for the escrow alone, sealed again, and delivered again."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from certcore.api import CertificateState, Page
from certcore.bundles import IssuedBundle, ResealWanted, SealedBundle, SealedKey
from certcore.identities import ESCROW
from issuer.domain.resealing import reseal
from tests.integration.registry.bus import Bus, eventually
from tests.integration.registry.reported import relayed
from tests.integration.registry.rotated_site import Site, a_site
from tests.integration.registry.stand_ins import StandIns
from tests.registry_process import RunningRegistry, running_registry

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="package")]


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def site() -> AsyncIterator[Site]:
    # Nothing is ordered by itself: what is done without an escrow is shown by another registry.
    async with (
        running_registry(renewal_sweep_every_s=3600.0) as registry,
        Bus.connect(registry.nats_url) as bus,
    ):
        yield await a_site(registry, await StandIns.start(registry, bus))


async def test_after_a_rotation_the_escrow_seals_again_and_the_site_gets_it(site: Site) -> None:
    certificate, _ = await site.live()
    before = await site.ordered(certificate)
    assert await site.listed(certificate) == []
    assert (await site.rotate()).status_code == 409
    assert (await site.rotate(replace=True)).status_code == 204
    assert "are to be sealed again" in site.audited("replace key", site.name)[-1]

    [wanted] = await site.listed(certificate)
    assert [(item.name, item.public_key) for item in wanted.recipients] == [(site.recipient, site.key.public_key)]
    object_ = f"{certificate.id}/1/platform"
    assert site.audited("fetch escrow copy", object_) == [f"to be sealed to {site.recipient}"]
    keys = reseal(wanted, site.key_of_escrow)
    assert (await site.hand_back(wanted, *keys)).status_code == 204
    assert len(site.audited("reseal key", f"{certificate.name}/1/platform")) == 1
    assert await site.listed(certificate) == []

    after = await site.ordered(certificate)
    assert after.placements[0].generation == before.placements[0].generation + 1
    assert after.placements[0].revision == before.placements[0].revision == 1
    assert after.placements[0].bundle_sha256 != before.placements[0].bundle_sha256
    fetched = SealedBundle.model_validate_json((await site.syncer.get(f"/v1/bundles/{certificate.id}/1")).content)
    assert fetched.sha256() == after.placements[0].bundle_sha256
    assert fetched.open(site.key).leaf.fingerprint_sha256 == after.placements[0].fingerprint_sha256
    # No other revision was ordered, and what is served is the same.
    shown = await site.services.shown(certificate.name)
    assert (shown.state, shown.wanted_revision) == (CertificateState.LIVE, 1)

    # The answer was lost: the same again is no error, another one is not taken.
    dump = site.registry.process.dump()
    assert (await site.hand_back(wanted, *keys)).status_code == 204
    assert site.registry.process.dump()["placement"] == dump["placement"]
    assert (await site.hand_back(wanted, *reseal(wanted, site.key_of_escrow))).status_code == 409


async def test_only_the_escrow_sees_the_list_and_its_copies(site: Site) -> None:
    certificate, _ = await site.live()
    await site.rotate(replace=True)
    [wanted] = await site.listed(certificate)
    keys = reseal(wanted, site.key_of_escrow)
    for person in (site.registry.admin, site.services.issuer, site.syncer, site.services.asker):
        assert (await person.get("/v1/reseals")).status_code == 403
        assert (await site.hand_back(wanted, *keys, person=person)).status_code == 403
    assert (await site.registry.nobody.get("/v1/reseals")).status_code == 401
    path = f"/v1/bundles/{certificate.id}/1"
    # Not even the escrow gets its copy but for what is to be sealed again.
    assert (await site.escrow.get(path)).status_code == 404
    for path in ("/v1/orders", "/v1/deployments", "/v1/certificates", "/v1/sites", "/v1/expectations"):
        assert (await site.escrow.get(path)).status_code == 403, path
    answer = await site.syncer.get(f"/v1/bundles/{certificate.id}/1")
    assert wanted.key.sealed not in answer.text


async def test_a_page_that_the_escrow_has_is_not_sent_and_not_audited_again(site: Site) -> None:
    certificate, _ = await site.live()
    await site.rotate(replace=True)
    first = await site.escrow.get("/v1/reseals", params={"limit": 500})
    known = {"if-none-match": first.headers["etag"]}
    again = await site.escrow.get("/v1/reseals", params={"limit": 500}, headers=known)
    assert (again.status_code, again.content) == (304, b"")
    assert len(site.audited("fetch escrow copy", f"{certificate.id}/1/platform")) == 1
    assert Page[ResealWanted].model_validate_json(first.content).unreadable == ()


async def test_what_is_not_sealed_to_the_key_that_is_enrolled_is_refused(site: Site) -> None:
    certificate, issued = await site.live()
    await site.rotate(replace=True)
    [wanted] = await site.listed(certificate)
    [key] = reseal(wanted, site.key_of_escrow)
    other = site.registry.keys["site1-syncer"]
    plain = SealedKey.of(site.recipient, issued.key_pem.encode(), site.key.key_id)
    await relayed(site.registry)
    before = site.registry.process.dump()
    for status, keys in (
        (409, [key.model_copy(update={"key_id": other.key_id})]),
        (409, [key.model_copy(update={"key_id": None})]),
        (409, [key, key.model_copy(update={"recipient": "site1-syncer"})]),
        (409, [SealedKey.of(ESCROW, b"another", site.key_of_escrow.key_id)]),
        (422, [plain]),
        (422, [key.model_copy(update={"sealed": "*"})]),
    ):
        answer = await site.hand_back(wanted, *keys)
        assert (answer.status_code, "BEGIN" in answer.text) == (status, False), answer.text
    unknown = wanted.model_copy(update={"revision": 7})
    assert (await site.hand_back(unknown, key)).status_code == 404
    for table in ("bundle", "placement", "event", "reseal"):
        assert site.registry.process.dump()[table] == before[table]


async def test_a_bundle_that_was_sealed_before_the_rotation_is_sealed_again(site: Site) -> None:
    certificate = await site.requested()
    old = site.key
    assert (await site.rotate(replace=True)).status_code == 204
    # As a round does it: nothing is issued yet, so nothing is missing.
    site.registry.process.change("DELETE FROM reseal WHERE certificate_id = ?", certificate.id)
    new, site.registry.keys[site.recipient] = site.key, old
    await site.hand_over(certificate)
    site.registry.keys[site.recipient] = new
    [wanted] = await site.listed(certificate)
    assert (await site.hand_back(wanted, *reseal(wanted, site.key_of_escrow))).status_code == 204
    fetched = await site.syncer.get(f"/v1/bundles/{certificate.id}/1")
    assert SealedBundle.model_validate_json(fetched.content).open(new).key_pem is not None


async def test_a_copy_that_is_not_the_escrow_s_is_refused(site: Site) -> None:
    certificate = await site.requested()
    issued = site.services.authority.issue(*certificate.dns_names)
    keys = site.services.sealed(certificate, 1, issued.key_pem)
    for status, copy in (
        (409, keys[0]),
        (409, SealedKey.of(ESCROW, b"sealed", None)),
        (422, SealedKey.of(ESCROW, issued.key_pem.encode(), site.key_of_escrow.key_id)),
    ):
        body = IssuedBundle(chain_pem=issued.chain_pem, keys=tuple(keys), escrow=copy).model_dump(mode="json")
        answer = await site.services.issuer.put(f"/v1/bundles/{certificate.id}/1", json=body)
        assert answer.status_code == status, answer.text
    assert site.registry.process.rows("SELECT * FROM bundle WHERE certificate_id = ?", certificate.id) == []


@pytest_asyncio.fixture(loop_scope="package")
async def unescrowed(mortal: RunningRegistry) -> AsyncIterator[Site]:
    """At a registry that looks all the time, and at which no escrow asks."""
    async with Bus.connect(mortal.nats_url) as bus:
        yield await a_site(mortal, await StandIns.start(mortal, bus))


async def test_without_an_escrow_the_next_revision_is_ordered_once(unescrowed: Site) -> None:
    site = unescrowed
    certificate, _ = await site.live(copy=False)
    await site.rotate(replace=True)

    async def ordered() -> bool:
        return (await site.services.shown(certificate.name)).state is CertificateState.RENEWING

    await eventually(ordered, what="the next revision")
    query = "SELECT ordered FROM certificate WHERE id = ?"
    _, answer = await site.hand_over(certificate, 2, copy=False)
    assert answer.status_code == 200, answer.text
    fetched = await site.syncer.get(f"/v1/bundles/{certificate.id}/2")
    assert SealedBundle.model_validate_json(fetched.content).open(site.key).key_pem is not None

    async def forgotten() -> bool:
        query = "SELECT * FROM reseal WHERE certificate_id = ?"
        return not site.registry.process.rows(query, certificate.id)

    await eventually(forgotten, what="nothing is missing any more")
    assert site.registry.process.rows(query, certificate.id) == [{"ordered": 2}]

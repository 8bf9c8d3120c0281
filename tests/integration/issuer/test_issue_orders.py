"""What an issue order may say: a newer registry's words, variants, the CAs that may be chosen, and nonsense."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric import ec

from certcore.events import (
    CONTRACT,
    CertificateApprovedForCsr,
    CertificateRenewalDueForCsr,
    FailureCode,
    MustAct,
    RevisionFailed,
    RevisionIssued,
    RevisionStarted,
    SiteHeartbeat,
)
from certcore.inspection import read_chain, spki_sha256
from certcore.placements import PLATFORM
from certlocal.tools import Tell
from tests.integration.issuer.bus_peer import an_order
from tests.integration.issuer.recipients import opened
from tests.integration.issuer.scene import Scene, a_scene, until
from tests.signing_requests import csr_pem

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory, tell: Tell) -> AsyncIterator[Scene]:
    async with a_scene(tmp_path_factory.mktemp("issuer"), tell=tell) as ready:
        yield ready


@pytest.mark.parametrize(
    ("fields", "code", "reason"),
    [
        ({"exposure": "partner"}, FailureCode.UNSUPPORTED, "does not know the exposure 'partner'"),
        ({"key_algorithm": "ml-dsa-65"}, FailureCode.UNSUPPORTED, "does not know the key algorithm 'ml-dsa-65'"),
        ({"csr_pem": "a CSR", "recipients": (), "variant": "cdn1"}, FailureCode.CONFIGURATION, "signing request"),
        ({"profile": "../short"}, FailureCode.CONFIGURATION, "not a name of a profile"),
        ({"cas": ("nowhere", "elsewhere")}, FailureCode.CONFIGURATION, "no CA named nowhere or elsewhere"),
    ],
)
async def test_what_can_not_be_issued_is_reported_with_its_code_and_who_must_act(
    scene: Scene, fields: dict[str, object], code: FailureCode, reason: str
) -> None:
    name = f"refused-{next(iter(fields)).replace('_', '-')}"
    await scene.peer.order(an_order(name, f"{name}.example.org", **fields))  # type: ignore[arg-type] # a row each
    failed = (await scene.peer.wait_for(RevisionFailed, certificate_ids=[name]))[name]
    assert (failed.code, failed.must_act, failed.next_try) == (code, MustAct.OPERATOR, None)
    assert failed.variant == fields.get("variant", PLATFORM)
    assert reason in failed.reason
    assert scene.peer.reports(RevisionStarted, name) == []
    assert scene.pebble.finalized_orders() == []


async def test_an_issue_order_that_was_mended_is_issued(scene: Scene) -> None:
    await scene.peer.order(an_order("mended", "mended.example.org", key_algorithm="ml-dsa-65", issuer="by-http"))
    await scene.peer.wait_for(RevisionFailed, certificate_ids=["mended"])
    await scene.peer.order(an_order("mended", "mended.example.org", cas=("by-dns",)))
    issued = (await scene.peer.wait_for(RevisionIssued, certificate_ids=["mended"]))["mended"]
    assert issued.ca == "by-dns"


async def test_variants_of_one_revision_are_issued_beside_each_other(scene: Scene) -> None:
    variants = (PLATFORM, "platform-rsa")
    orders = [
        an_order("pair", "pair.example.org", variant=variant, key_algorithm=algorithm)
        for variant, algorithm in zip(variants, ("ec-p256", "rsa-2048"), strict=True)
    ]
    await asyncio.gather(*map(scene.peer.order, orders))
    await until(
        lambda: {event.variant for event in scene.peer.reports(RevisionIssued, "pair")} == set(variants),
        what="both variants",
    )
    issued = {event.variant: event for event in scene.peer.reports(RevisionIssued, "pair")}
    leaves = {
        variant: opened(scene.registry.issued["pair", 1, variant], "pair", 1, variant)[0].leaf for variant in variants
    }
    assert leaves[PLATFORM].spki_sha256 != leaves["platform-rsa"].spki_sha256
    assert all(leaves[variant].fingerprint_sha256 == issued[variant].fingerprint_sha256 for variant in variants)
    assert {event.variant for event in scene.peer.reports(RevisionStarted, "pair")} == set(variants)


async def test_the_first_known_of_the_allowed_cas_issues(scene: Scene) -> None:
    await scene.peer.order(an_order("allowed", "allowed.example.org", cas=("nowhere", "by-http", "by-dns")))
    issued = (await scene.peer.wait_for(RevisionIssued, certificate_ids=["allowed"]))["allowed"]
    assert issued.ca == "by-http"
    (line,) = (line for line in scene.logged("ca_chosen") if line["certificate_id"] == "allowed")
    assert line["reason"] == "first_allowed_and_known"


async def test_where_targets_make_their_own_keys_nothing_is_issued_before_a_signing_request(scene: Scene) -> None:
    about = {"certificate_id": "keyless", "name": "keyless", "owner": "shop"}
    before = await scene.peer.dead_letters()
    approved = CertificateApprovedForCsr(**about, approved_by=("p",), policy="p", targets=("cdn",))
    due = CertificateRenewalDueForCsr(**about, reason="due", revision=2, targets=("cdn",))
    for event in (approved, due):
        await scene.peer.send(event, about="keyless")
    await scene.peer.order(an_order("after", "after.example.org"))
    await scene.peer.wait_for(RevisionIssued, certificate_ids=["after"])
    assert scene.journal("SELECT * FROM job WHERE certificate_id = 'keyless'") == []
    assert await scene.peer.dead_letters() == before


async def test_an_issue_order_that_names_no_job_is_set_aside(scene: Scene) -> None:
    before = await scene.peer.dead_letters()
    order = an_order("odd", "odd.example.org", variant="../../escaped")
    await scene.peer.order(order)
    await until(lambda: scene.logged("event_set_aside"), what="the event is a dead letter")
    assert await scene.peer.dead_letters() == before + 1
    assert scene.journal("SELECT * FROM job WHERE certificate_id = 'odd'") == []


async def test_the_issuer_tells_that_it_lives_and_what_it_reads(scene: Scene) -> None:
    await until(lambda: scene.peer.reports(SiteHeartbeat), what="a heartbeat")
    heartbeat = scene.peer.reports(SiteHeartbeat)[0]
    assert (heartbeat.site, heartbeat.service, heartbeat.contract) == ("hub", "issuer", CONTRACT)
    assert heartbeat.version


async def test_a_key_that_is_held_elsewhere_is_issued_by_its_signing_request(scene: Scene) -> None:
    name = "box.example.org"
    key = ec.generate_private_key(ec.SECP256R1())
    by_csr = {"variant": "box", "recipients": (), "csr_pem": csr_pem(name, key=key, common_name=name)}
    await scene.peer.order(an_order("box", name, **by_csr))  # type: ignore[arg-type] # fields of an order
    issued = (await scene.peer.wait_for(RevisionIssued, certificate_ids=["box"]))["box"]
    assert (issued.variant, issued.ca) == ("box", "by-dns")
    bundle = scene.registry.issued["box", 1, "box"]
    assert (bundle.keys, bundle.escrow) == ((), None)
    leaf = read_chain(bundle.chain_pem.encode())[0]
    assert (leaf.dns_names, leaf.spki_sha256) == ((name,), spki_sha256(key.public_key()))
    assert leaf.fingerprint_sha256 == issued.fingerprint_sha256
    assert scene.journal("SELECT sealed_keys FROM job WHERE certificate_id = 'box'") == [("[]",)]


async def test_a_target_that_lost_its_key_gets_a_certificate_for_the_next_one(scene: Scene) -> None:
    name, keys = "lost.example.org", [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    orders = [
        an_order("lost", name, variant="box", recipients=(), csr_pem=csr_pem(name, key=key, common_name=name))
        for key in keys
    ]
    await scene.peer.order(orders[0])
    await scene.peer.wait_for(RevisionIssued, certificate_ids=["lost"])
    # As the registry forgets what was issued by a request that the target dropped.
    del scene.registry.issued["lost", 1, "box"]
    scene.registry.issue_orders["lost", 1, "box"] = orders[1]
    await scene.issuer.stop()
    await scene.issuer.start()
    await until(lambda: ("lost", 1, "box") in scene.registry.issued, what="the second one")
    leaf = read_chain(scene.registry.issued["lost", 1, "box"].chain_pem.encode())[0]
    assert leaf.spki_sha256 == spki_sha256(keys[1].public_key())

"""The issuer and a real step-ca, the private CA with ACME that runs here."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store

from certcore.certificate import KeyAlgorithm
from certcore.events import FailureCode, RevisionFailed, RevisionIssued
from certcore.placements import PLATFORM
from certlocal.readiness import trusting
from certlocal.tools import Tell
from issuer.cas.acme.presets import PRESETS
from tests import servers
from tests.integration.issuer.bus_peer import an_order, bus_peer
from tests.integration.issuer.issuer_process import IssuerProcess
from tests.integration.issuer.recipients import opened
from tests.integration.issuer.revoke_command import revoke
from tests.integration.issuer.scene import Scene
from tests.registry_standin import registry_standin
from tests.step_ca.server import ACME, FORCES_CN, NEEDS_EAB, StepCa, step_ca

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]


@dataclass(frozen=True)
class WithStepCa:
    scene: Scene
    step_ca: StepCa


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ready(tmp_path_factory: pytest.TempPathFactory, tell: Tell) -> AsyncIterator[WithStepCa]:
    folder = tmp_path_factory.mktemp("step")
    async with (
        servers.broker(sites=servers.SITES) as broker,
        servers.pebble_ca(tell=tell) as pebble,
        step_ca(folder / "ca", dns=pebble.dns, http01_port=pebble.http01_port, tell=tell) as ca,
        registry_standin() as registry,
        bus_peer(broker.url) as peer,
    ):
        cas = (
            ca.settings("step-http"),
            ca.settings("step-dns", challenges=["dns-01"]),
            ca.settings("step-eab", provisioner=NEEDS_EAB, challenges=["http-01"]),
            ca.settings("step-cn", provisioner=FORCES_CN, challenges=["http-01"]),
        )
        issuer = IssuerProcess(folder, pebble, broker.url, registry.url, more_cas=cas)
        try:
            await issuer.start()
            yield WithStepCa(Scene(pebble=pebble, peer=peer, registry=registry, issuer=issuer, broker=broker), ca)
        finally:
            await issuer.stop()


async def test_step_ca_issues_for_private_names_by_either_challenge(ready: WithStepCa) -> None:
    orders = [
        an_order("web", "web.site1.internal", issuer="step-http"),
        an_order("two", "a.site1.internal", "b.site1.internal", issuer="step-http"),
        an_order("wild", "wild.site1.internal", "*.wild.site1.internal", issuer="step-dns"),
        an_order("rsa", "rsa.site1.internal", issuer="step-http", key_algorithm=KeyAlgorithm.RSA_2048),
        an_order("cn", "cn.site1.internal", issuer="step-cn"),
    ]
    for order in orders:
        await ready.scene.peer.order(order)
    names = [order.certificate_id for order in orders]
    issued = await ready.scene.peer.wait_for(RevisionIssued, certificate_ids=names)
    for order in orders:
        bundle = ready.scene.registry.issued[order.certificate_id, 1, PLATFORM]
        for one in opened(bundle, order.certificate_id, 1):
            assert set(one.leaf.dns_names) == set(order.dns_names)
        chain = x509.load_pem_x509_certificates(bundle.chain_pem.encode())
        for name in order.dns_names:
            host = name.replace("*", "host")
            verifier = PolicyBuilder().store(Store([ready.step_ca.root])).build_server_verifier(x509.DNSName(host))
            verifier.verify(chain[0], chain[1:])
        assert ready.scene.peer.reports(RevisionFailed, order.certificate_id) == []
    assert {issued[name].validation_method for name in ("web", "two", "rsa")} == {"http-01"}
    assert issued["wild"].validation_method == "dns-01"
    chains = {ready.scene.registry.issued[name, 1, PLATFORM].chain_pem for name in names}
    assert len(chains) == len(names)


async def test_step_ca_revokes_by_the_account_and_says_so_when_it_is_asked_again(ready: WithStepCa) -> None:
    await ready.scene.peer.order(an_order("leaked", "leaked.site1.internal", issuer="step-http"))
    await ready.scene.peer.wait_for(RevisionIssued, certificate_ids=["leaked"])
    by_journal = ("--certificate", "leaked", "--revision", "1", "--reason", "keyCompromise", "--force")
    code, told = await revoke(ready.scene.issuer, *by_journal)
    assert code == 0, told
    assert "\nrevoked\nproof: asked again, the CA says that it is revoked" in told
    code, told = await revoke(ready.scene.issuer, *by_journal)
    assert code == 0, told
    assert "\nit was revoked before\n" in told


async def test_a_provisioner_that_needs_a_binding_is_reported_as_refusing_the_account(ready: WithStepCa) -> None:
    """The open-source step-ca can check a binding, and has no way to make one."""
    await ready.scene.peer.order(an_order("bound", "bound.site1.internal", issuer="step-eab"))
    failed = (await ready.scene.peer.wait_for(RevisionFailed, certificate_ids=["bound"]))["bound"]
    assert failed.code == FailureCode.CA_REFUSED
    assert "externalAccountRequired" in failed.reason


async def test_its_directory_has_what_its_preset_says(ready: WithStepCa) -> None:
    async with httpx.AsyncClient(verify=trusting(ready.step_ca.root_file), trust_env=False) as client:
        directory = (await client.get(f"{ready.step_ca.url}/acme/{ACME}/directory")).json()
        bound = (await client.get(f"{ready.step_ca.url}/acme/{NEEDS_EAB}/directory")).json()
    preset = PRESETS["step-ca"]
    assert ("renewalInfo" in directory) is preset.ari
    assert preset.profiles == ()
    assert "profiles" not in directory.get("meta", {})
    assert bound["meta"]["externalAccountRequired"] is True
    # It is listed, and answers that it isn't implemented: the preset knows better than the directory.
    assert "keyChange" in directory
    assert preset.key_change is False

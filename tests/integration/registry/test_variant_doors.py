"""What is refused of a variant whose key its target makes: signing requests, bundles, names."""

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from certcore.bundles import SealedKey
from certcore.events import (
    CsrAccepted,
    CsrExpired,
    CsrOffered,
    Event,
)
from tests.authority import Issued
from tests.integration.registry.bodies import a_body
from tests.integration.registry.bus import Bus
from tests.integration.registry.reported import DURABLE, relayed, told
from tests.integration.registry.stand_ins import StandIns
from tests.integration.registry.variants import (
    BOX,
    HOST,
    issue_box,
    level,
    offer,
    order_of,
    two_variants,
)
from tests.registry_process import Person, RunningRegistry
from tests.signing_requests import csr_pem, with_wrong_signature

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="package")]


async def test_a_wrong_signing_request_is_set_aside(
    services: StandIns, bus: Bus, registry: RunningRegistry, deliverers: dict[str, Person]
) -> None:
    certificate, other = await services.requested(two_variants()), await services.requested(two_variants())
    used = csr_pem(*other.dns_names, key=(known := ec.generate_private_key(ec.SECP256R1())))
    await offer(services, other, used)
    await issue_box(services, other, await order_of(services, other))
    names = certificate.dns_names
    good = csr_pem(*names)
    wrong: list[tuple[Event, str, str]] = []
    for offered_csr in (
        csr_pem("other.example.test"),
        csr_pem(*names, "more.example.test"),
        csr_pem(),
        csr_pem(*names, key=ec.generate_private_key(ec.SECP384R1())),
        csr_pem(*names, key=rsa.generate_private_key(65537, 2048)),
        # A key that is a certificate's already.
        csr_pem(*names, key=known),
        with_wrong_signature(good),
        "",
        "nothing",
        "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
        "x" * 300_000,
    ):
        event = CsrOffered(
            certificate_id=certificate.id, target="box", revision=1, variant="box", csr_pem=offered_csr
        )
        wrong.append((event, "site1", "pusher"))
    offered = CsrOffered(certificate_id=certificate.id, target="box", revision=1, variant="box", csr_pem=good)
    wrong += [
        (offered, "site2", "pusher"),
        (offered, "hub", "pusher"),
        (offered, "site1", "syncer"),
        (offered.model_copy(update={"target": "nowhere"}), "site1", "pusher"),
        (offered.model_copy(update={"certificate_id": "nothing"}), "site1", "pusher"),
        (CsrExpired(certificate_id=certificate.id, target="box", revision=1, variant="box"), "site2", "pusher"),
    ]
    await services.settled()
    await relayed(registry)
    before, letters = registry.process.dump(), len(await bus.dead_letters(DURABLE))
    for report, place, service in wrong:
        await services.report(report, place=place, service=service, about=certificate.id)
    await services.settled()
    found = (await bus.dead_letters(DURABLE))[letters:]
    assert [(letter.headers or {})["certbus-fate"] for letter in found] == ["permanent"] * len(wrong)
    assert registry.process.dump() == before

    # Of the platform's variant, and of a revision that nobody asked for, none is wanted: it changes nothing.
    for changes in ({"target": "host", "variant": "platform"}, {"revision": 2}, {"variant": "platform"}):
        odd = offered.model_copy(update=changes)
        service = "syncer" if odd.target == "host" else "pusher"
        await services.report(odd, place="site1", service=service, about=certificate.id)
    await services.settled()
    assert await told(services, certificate, CsrAccepted) == []
    assert len(await level(deliverers["site1-pusher"], certificate)) == 1
    await offer(services, certificate, good)
    assert len(await told(services, certificate, CsrAccepted)) == 1


async def test_a_bundle_of_a_variant_is_stored_only_as_it_was_ordered(
    services: StandIns, registry: RunningRegistry
) -> None:
    certificate = await services.requested(two_variants())
    csr = csr_pem(*certificate.dns_names)
    leaf = services.authority.sign(csr, *certificate.dns_names)

    async def put(issued: Issued, keys: list[SealedKey], *, revision: int = 1, variant: str) -> httpx.Response:
        return await services.put(certificate.id, revision, issued.chain_pem, keys, variant=variant)

    refused = await put(leaf, [], variant="box")
    assert (refused.status_code, "was not ordered" in refused.json()["detail"]) == (409, True)
    await offer(services, certificate, csr)
    await relayed(registry)
    before = registry.process.dump()
    another = services.authority.issue(*certificate.dns_names)
    keys = services.sealed(certificate, 1, another.key_pem)
    for status, detail, response in (
        (409, "another key", await put(another, [], variant="box")),
        (409, "not sealed to nobody", await put(leaf, keys, variant="box")),
        (409, "not ordered", await put(leaf, [], variant="cupboard")),
        (409, "not ordered", await put(leaf, [], revision=2, variant="box")),
        (409, "not sealed to site1-syncer", await put(leaf, [], variant="platform")),
        (409, "other names", await put(services.authority.sign(csr, "x.example.org"), [], variant="box")),
    ):
        assert (response.status_code, detail in response.json()["detail"]) == (status, True), response.text
    assert (await put(leaf, [], variant="No Name")).status_code == 422
    assert registry.process.dump() == before
    assert (await put(leaf, [], variant="box")).status_code == 200
    assert (await put(leaf, [], variant="box")).status_code == 200
    assert registry.process.rows("SELECT * FROM bundle WHERE certificate_id = ?", certificate.id) == []


@pytest.mark.parametrize("name", ["platform", "platform-rsa"])
async def test_no_variant_can_be_taken_for_the_platform_s(services: StandIns, name: str) -> None:
    body = a_body(targets=[{**BOX, "name": name}], endpoints=None, proof="none")
    refused = await services.asker.post("/v1/requests", json=body)
    assert (refused.status_code, [error["field"] for error in refused.json()["errors"]]) == (422, ["targets.0.name"])
    fine = a_body(targets=[{**HOST, "name": name}], endpoints=None, proof="none")
    assert (await services.asker.post("/v1/requests", json=fine)).status_code == 202

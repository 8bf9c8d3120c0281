"""The steps of a target that makes its own key, as its deliverer and an issuer take them."""

from typing import Any

from certcore.api import CertificateView
from certcore.events import (
    CsrAccepted,
    CsrOffered,
    CsrWanted,
    IssueOrder,
)
from tests.authority import Issued
from tests.integration.registry.bodies import Body, a_body
from tests.integration.registry.reported import items, relayed, told
from tests.integration.registry.stand_ins import StandIns
from tests.registry_process import Person

__all__ = [
    "BOX",
    "HOST",
    "issue_box",
    "level",
    "live_host",
    "offer",
    "only_box",
    "order_of",
    "two_variants",
    "wanted",
]

BOX = {"kind": "appliance", "name": "box", "site": "site1", "shelf": "left"}
HOST = {"kind": "files", "name": "host", "site": "site1"}


def two_variants() -> Body:
    body = a_body()
    name = body["dns_names"][0]
    endpoints = [{"url": f"https://{name}:8441", "target": "host"}, {"url": f"https://{name}:8442", "target": "box"}]
    return {**body, "targets": [HOST, BOX], "endpoints": endpoints}


def only_box() -> Body:
    body = a_body()
    return {**body, "targets": [BOX], "endpoints": [{"url": f"https://{body['dns_names'][0]}"}]}


async def wanted(services: StandIns, certificate: CertificateView, place: str = "site1") -> list[CsrWanted]:
    """What a service of a place was asked for, as the stream keeps it: the newest of each target."""
    await relayed(services.registry)
    messages = await services.bus.messages(f"DEPLOY_{place}", f"certs.deploy.{place}.pusher.{certificate.id}.csr.*")
    return [CsrWanted.model_validate_json(message.data or b"") for message in messages]


async def level(deliverer: Person, certificate: CertificateView) -> list[CsrWanted]:
    found = await items(deliverer, "/v1/csrs", CsrWanted)
    return [item for item in found if item.certificate_id == certificate.id]


async def offer(
    services: StandIns, certificate: CertificateView, csr_pem: str, *, revision: int = 1, **changes: Any
) -> None:
    event = CsrOffered(
        certificate_id=certificate.id, target="box", revision=revision, variant="box", csr_pem=csr_pem
    ).model_copy(update=changes)
    await services.report(event, place="site1", service="pusher", about=certificate.id)
    await services.settled()


async def order_of(services: StandIns, certificate: CertificateView) -> IssueOrder:
    """What the issuer was ordered last by a signing request."""
    accepted: CsrAccepted = (await told(services, certificate, CsrAccepted))[-1]
    return accepted.order


async def issue_box(services: StandIns, certificate: CertificateView, order: IssueOrder) -> Issued:
    """As an issuer would that knows nothing but the order."""
    assert order.csr_pem is not None
    issued = services.authority.sign(order.csr_pem, *order.dns_names)
    response = await services.put(certificate.id, order.revision, issued.chain_pem, [], variant=order.variant)
    assert response.status_code == 200, response.text
    await services.announced(certificate, order.revision, issued, variant=order.variant)
    await services.settled()
    return issued


async def live_host(services: StandIns, certificate: CertificateView, revision: int = 1) -> Issued:
    """The platform's variant, issued, delivered and seen at its own endpoint."""
    issued = await services.issue(certificate, revision)
    await services.delivered(certificate, "host", revision, issued)
    await services.served(certificate, certificate.endpoints[0].url, revision, issued)
    await services.settled()
    return issued

"""A certificate and what belongs to it, as the registry's domain knows them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from certcore.api import CertificateState
from certcore.certificate import CertificateSpec, approval_hash
from certcore.events import Recipient, ServingVerdict
from registry.domain.certificate import Approval, Certificate, Delivery, Endpoint, Request, Revision
from registry.domain.rollout import Rollout
from registry.domain.site import Site

__all__ = [
    "NOON",
    "approval",
    "certificate",
    "delivery",
    "endpoint",
    "request",
    "revision",
    "rollout",
    "site",
    "spec",
]

NOON: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
OWNER: Final = "shop"


def spec(**changes: object) -> CertificateSpec:
    body: dict[str, object] = {
        "name": "checkout",
        "dns_names": ["checkout.example.org"],
        "exposure": "internal",
        "owner": OWNER,
        "targets": [{"kind": "files", "name": "web", "site": "site1"}],
        "endpoints": [{"url": "https://checkout.example.org", "target": "web"}],
    }
    return CertificateSpec.model_validate({**body, **changes})


def certificate(state: CertificateState = CertificateState.LIVE, **changes: object) -> Certificate:
    """One with revision 1 ordered, issued and proven."""
    made = Certificate(
        id="c-1",
        owner=OWNER,
        requester="ana",
        spec=spec(),
        spec_hash=approval_hash(spec(), owner=OWNER),
        state=state,
        reason="as it was made",
        state_since=NOON,
        created_at=NOON,
        ordered=1,
        wanted=1,
        proven=1,
        approval_id="a-1",
    )
    return replace(made, **changes)  # type: ignore[arg-type] # fields by name


def revision(number: int = 1, *, lifetime: timedelta = timedelta(days=90), not_before: datetime = NOON) -> Revision:
    return Revision(
        certificate_id="c-1",
        number=number,
        serial=f"{number:x}",
        fingerprint_sha256=f"{number:064x}",
        spki_sha256=f"{number:064x}",
        not_before=not_before,
        not_after=not_before + lifetime,
        chain_pem="",
        stored_at=not_before,
        announced=True,
    )


def approval(spec_hash: str | None = None) -> Approval:
    return Approval(
        id="a-1",
        certificate_id="c-1",
        request_id="r-1",
        spec_hash=spec_hash or certificate().spec_hash,
        approved_by=("ben",),
        policy="public-names-need-a-second-person",
        granted_at=NOON,
    )


def request(state: str = "waiting", *, requester: str = "ana") -> Request:
    return Request(
        id="r-1",
        certificate_id="c-1",
        requester=requester,
        owner=OWNER,
        spec=spec(),
        spec_hash=certificate().spec_hash,
        state=state,
        reason="",
        created_at=NOON,
        traceparent=None,
    )


def delivery(target: str = "web", *, holds: int | None = None, failed: int | None = None) -> Delivery:
    return Delivery(
        certificate_id="c-1",
        target=target,
        site="site1",
        service="syncer",
        kind="files",
        revision=holds,
        failed_revision=failed,
        failure="unreachable: no answer" if failed else "",
    )


def endpoint(
    verdict: ServingVerdict | None = None, *, revision: int | None = None, target: str | None = "web", number: int = 0
) -> Endpoint:
    return Endpoint(
        certificate_id="c-1",
        url=f"https://checkout.example.org:{8443 + number}",
        target=target,
        verdict=verdict,
        served_revision=revision,
        served_fingerprint_sha256=f"{revision:064x}" if revision else None,
    )


def rollout(
    of: Certificate | None = None,
    *,
    revisions: tuple[Revision, ...] | None = None,
    deliveries: tuple[Delivery, ...] | None = None,
    endpoints: tuple[Endpoint, ...] | None = None,
) -> Rollout:
    return Rollout(
        of or certificate(),
        (revision(),) if revisions is None else revisions,
        (delivery(),) if deliveries is None else deliveries,
        (endpoint(),) if endpoints is None else endpoints,
    )


def site(name: str = "site1", *services: str) -> Site:
    enrolled = services or ("syncer",)
    recipients = tuple(Recipient(name=f"{name}-{service}", public_key="key") for service in enrolled)
    return Site(name, recipients, enrolled)

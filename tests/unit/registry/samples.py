"""A certificate and what belongs to it, as the registry's domain knows them."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from certcore.api import CertificateState
from certcore.bundles import SealedKey
from certcore.certificate import CertificateSpec, approval_hash, stored
from certcore.door import RequestDoor
from certcore.events import AddressObserved, DeliverySucceeded, EndpointObserved, Recipient, ServingVerdict
from certcore.identities import HUB
from certcore.intent import Intent
from certcore.placements import PLATFORM
from certcore.targets import (
    FILES,
    HAPROXY,
    KUBERNETES,
    Capabilities,
    KeyHolder,
    TargetKind,
    TargetKinds,
    TargetRequest,
)
from registry.domain.certificate import Approval, Certificate, Request
from registry.domain.deployment import SealedKeys
from registry.domain.endpoint import Endpoint, ProbeWorker
from registry.domain.placement import Placement
from registry.domain.revision import Revision, SigningRequest, SigningState
from registry.domain.rollout import Rollout
from registry.domain.site import Site

__all__ = [
    "CDN",
    "ENDPOINT_URL",
    "KINDS",
    "NOON",
    "OWNER",
    "approval",
    "certificate",
    "delivered",
    "endpoint",
    "fingerprint",
    "intent",
    "look",
    "placement",
    "request",
    "revision",
    "rollout",
    "sealed",
    "signing",
    "site",
    "spec",
    "worker",
]

NOON: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
OWNER: Final = "shop"
ENDPOINT_URL: Final = "https://checkout.example.org:8443"
"""Of the endpoint with number 0."""


class CdnTarget(TargetRequest):
    """Makes its own key, takes days, and belongs to no site."""

    kind: Literal["cdn"] = "cdn"
    property_id: str = ""


CDN: Final = TargetKind("cdn", "pusher", CdnTarget, Capabilities(key_holder=KeyHolder.TARGET, slow=True))
KINDS: Final = TargetKinds([FILES, HAPROXY, KUBERNETES, CDN])
_DOOR: Final = RequestDoor(KINDS)


def spec(**changes: object) -> CertificateSpec:
    body: dict[str, object] = {
        "name": "checkout",
        "dns_names": ["checkout.example.org"],
        "exposure": "internal",
        "owner": OWNER,
        "targets": [{"kind": "files", "name": "web", "site": "site1"}],
        "endpoints": [{"url": "https://checkout.example.org", "target": "web"}],
    }
    return _DOOR.model.model_validate({**body, **changes})


def intent(**changes: object) -> Intent:
    """As it is stored and read again."""
    return Intent.model_validate(stored(spec(**changes)))


def certificate(state: CertificateState = CertificateState.LIVE, **changes: Any) -> Certificate:
    """One with revision 1 ordered."""
    made = Certificate(
        id="c-1",
        name="checkout",
        owner=OWNER,
        requester="ana",
        intent=intent(),
        spec_hash=approval_hash(spec(), owner=OWNER),
        state=state,
        reason="as it was made",
        state_since=NOON,
        created_at=NOON,
        ordered=1,
        generation=1,
        approval_id="a-1",
    )
    return replace(made, **changes)


def fingerprint(number: int, variant: str = PLATFORM) -> str:
    return hashlib.sha256(f"{number} {variant}".encode()).hexdigest()


def revision(
    number: int = 1,
    *,
    lifetime: timedelta = timedelta(days=90),
    not_before: datetime = NOON,
    variant: str = PLATFORM,
    announced: bool = True,
) -> Revision:
    return Revision(
        certificate_id="c-1",
        number=number,
        serial=f"{number:x}",
        fingerprint_sha256=fingerprint(number, variant),
        spki_sha256=fingerprint(number, variant),
        not_before=not_before,
        not_after=not_before + lifetime,
        chain_pem=f"chain {number} {variant}",
        stored_at=not_before,
        announced=announced,
        variant=variant,
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
        cas=("ca-two", "ca-one"),
    )


def request(state: str = "waiting", *, requester: str = "ana") -> Request:
    return Request(
        id="r-1",
        certificate_id="c-1",
        name="checkout",
        requester=requester,
        owner=OWNER,
        intent=intent(),
        spec_hash=certificate().spec_hash,
        state=state,
        reason="",
        created_at=NOON,
        traceparent=None,
    )


def placement(
    target: str = "web",
    *,
    wanted: int | None = 1,
    holds: int | None = None,
    failed: bool = False,
    own_key: bool = False,
    **changes: Any,
) -> Placement:
    """Its generation is the wanted revision's number, and it was ordered at noon. `own_key`: a CDN at the hub."""
    generation = wanted or 0
    made = Placement(
        certificate_id="c-1",
        target=target,
        place=HUB if own_key else "site1",
        service="pusher" if own_key else "syncer",
        kind="cdn" if own_key else "files",
        variant=target if own_key else PLATFORM,
        generation=generation,
        wanted=wanted,
        ordered_at=NOON if wanted else None,
        held=holds,
        held_generation=holds,
        failed_generation=generation if failed else None,
        failure="unreachable: no answer" if failed else "",
    )
    return replace(made, **changes)


def endpoint(
    verdict: ServingVerdict | None = None,
    *,
    revision: int | None = None,
    target: str | None = "web",
    number: int = 0,
    variant: str = PLATFORM,
    **changes: Any,
) -> Endpoint:
    """Seen at noon, where it has a verdict."""
    made = Endpoint(
        certificate_id="c-1",
        url=f"https://checkout.example.org:{8443 + number}",
        target=target,
        verdict=verdict,
        served_revision=revision,
        served_fingerprint_sha256=fingerprint(revision, variant) if revision else None,
        observed_at=NOON if verdict else None,
    )
    return replace(made, **changes)


def delivered(generation: int = 2, target: str = "web", revision: int = 2) -> DeliverySucceeded:
    return DeliverySucceeded(
        certificate_id="c-1",
        target=target,
        generation=generation,
        revision=revision,
        fingerprint_sha256=fingerprint(revision),
    )


def look(
    verdict: ServingVerdict = ServingVerdict.WANTED,
    number: int | None = 2,
    *,
    url: str = ENDPOINT_URL,
    at: datetime = NOON + timedelta(hours=1),
    leaf: str | None = None,
    in_a_row: int | None = 0,
) -> EndpointObserved:
    return EndpointObserved(
        certificate_id="c-1",
        url=url,
        verdict=verdict,
        served_revision=number,
        served_fingerprint_sha256=leaf or (fingerprint(number) if number else None),
        addresses=(
            AddressObserved(address="10.0.0.1", verdict=verdict, fingerprint_sha256=None, detail=""),
            AddressObserved(address="10.0.0.2", verdict=verdict, fingerprint_sha256=None, detail="slow"),
        ),
        observed_at=at,
        in_a_row=in_a_row,
    )


def signing(
    state: SigningState = SigningState.WANTED, *, number: int = 1, target: str = "cdn", **changes: Any
) -> SigningRequest:
    made = SigningRequest(
        certificate_id="c-1", revision=number, variant=target, target=target, state=state, since=NOON
    )
    return replace(made, **changes)


def rollout(
    of: Certificate | None = None,
    *,
    revisions: tuple[Revision, ...] | None = None,
    placements: tuple[Placement, ...] | None = None,
    endpoints: tuple[Endpoint, ...] | None = None,
    signing: tuple[SigningRequest, ...] = (),
) -> Rollout:
    return Rollout(
        of or certificate(),
        (revision(),) if revisions is None else revisions,
        (placement(),) if placements is None else placements,
        (endpoint(),) if endpoints is None else endpoints,
        signing,
    )


def sealed(*numbers: int, to: tuple[str, ...] = ("site1-syncer",)) -> SealedKeys:
    return {
        (number, PLATFORM, name): SealedKey.of(name, f"{number} {name}".encode(), "0" * 16)
        for number in numbers
        for name in to
    }


def worker(*, ended: datetime = NOON, period_s: int = 60, missed: tuple[str, ...] = ()) -> ProbeWorker:
    """`missed` are URLs of the certificate's endpoints."""
    return ProbeWorker(
        name="hub-monitor",
        place=HUB,
        started=ended - timedelta(seconds=period_s),
        ended=ended,
        period=timedelta(seconds=period_s),
        looked=1,
        missed=frozenset(("c-1", url) for url in missed),
    )


def site(name: str = "site1", *services: str) -> Site:
    enrolled = services or ("syncer",)
    recipients = tuple(Recipient(name=f"{name}-{service}", public_key="key") for service in enrolled)
    return Site(name, recipients, enrolled)

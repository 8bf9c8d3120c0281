"""Answers of a registry, for tests that read or show them."""

import json
from datetime import UTC, datetime, timedelta

from certcore.api import (
    CertificateState,
    CertificateSummary,
    CertificateView,
    EndpointState,
    EndpointView,
    RequestState,
    RequestView,
    RevisionView,
    TargetState,
    TargetView,
)
from certcore.certificate import CertificateSpec, Exposure, KeyAlgorithm, stored
from certcore.conditions import Condition, ConditionStatus, ConditionType, Health
from certcore.door import RequestDoor
from certcore.intent import Intent
from certcore.plugins import load_target_kinds

__all__ = [
    "DOOR",
    "KINDS",
    "NOON",
    "condition",
    "endpoint",
    "intent",
    "request",
    "revision",
    "spec",
    "summary",
    "target",
    "view",
]

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
KINDS = load_target_kinds()
DOOR = RequestDoor(KINDS)


def spec(**changes: object) -> CertificateSpec:
    body: dict[str, object] = {
        "name": "shop",
        "dns_names": ["shop.example.org"],
        "exposure": "public",
        "targets": [
            {"kind": "files", "name": "web", "site": "site1"},
            {
                "kind": "kubernetes",
                "name": "pods",
                "site": "site2",
                "namespaces": ["web", "shop"],
                "secret": "shop-tls",
            },
        ],
        "endpoints": [{"url": "https://shop.example.org", "target": "web"}],
    }
    return DOOR.read(json.dumps({**body, **changes}).encode())


def intent(**changes: object) -> Intent:
    return Intent.model_validate(stored(spec(**changes)))


def request(
    state: RequestState = RequestState.WAITING, *, reason: str = "public names need an approval"
) -> RequestView:
    decided = state is not RequestState.WAITING
    return RequestView(
        id="r-1",
        kind="new",
        certificate_id="c-1",
        name="shop",
        owner="team-shop",
        requester="ana",
        state=state,
        reason=reason,
        certificate_state=CertificateState.WAITING_FOR_APPROVAL,
        spec=intent(),
        created_at=NOON - timedelta(hours=3),
        decided_by="ben" if decided else None,
        decided_at=NOON - timedelta(hours=2) if decided else None,
    )


def revision(number: int = 1, *, variant: str = "platform") -> RevisionView:
    return RevisionView(
        number=number,
        serial="3f9a",
        fingerprint_sha256="ab" * 32,
        not_before=NOON - timedelta(days=1),
        not_after=NOON + timedelta(days=60),
        ca="pebble",
        validation_method="dns-01",
        variant=variant,
    )


def target(
    state: TargetState = TargetState.VERIFIED,
    *,
    name: str = "web",
    revision: int | None = 1,
    reason: str = "",
    variant: str = "platform",
) -> TargetView:
    return TargetView(
        name=name,
        site="site1",
        kind="files",
        state=state,
        revision=revision,
        wanted_revision=1,
        variant=variant,
        reason=reason,
    )


def endpoint(
    state: EndpointState = EndpointState.SERVED, *, proves: str | None = "web", revision: int | None = 1
) -> EndpointView:
    return EndpointView(
        url="https://shop.example.org",
        target=proves,
        state=state,
        served_fingerprint_sha256="ab" * 32 if revision else None,
        served_revision=revision,
        looked_at=NOON - timedelta(seconds=40),
        observed_at=NOON - timedelta(minutes=4),
    )


def view(
    state: CertificateState = CertificateState.LIVE,
    *,
    issued: int | None = 1,
    next_try: datetime | None = None,
    targets: tuple[TargetView, ...] = (),
    endpoints: tuple[EndpointView, ...] = (),
    reason: str = "every endpoint serves it",
    health: str = Health.OK,
    health_reason: str = "",
    conditions: tuple[Condition, ...] = (),
    variants: tuple[RevisionView, ...] = (),
) -> CertificateView:
    return CertificateView(
        id="c-1",
        name="shop",
        owner="team-shop",
        exposure=Exposure.PUBLIC,
        state=state,
        reason=reason,
        health=health,
        health_reason=health_reason,
        conditions=conditions,
        variants=variants,
        state_since=NOON - timedelta(days=2),
        dns_names=("shop.example.org",),
        key_algorithm=KeyAlgorithm.EC_P256,
        issuer=None,
        requester="ana",
        approved_by=("ben",),
        approval_policy="public",
        end_date=None,
        renew_at=NOON + timedelta(days=40),
        next_try=next_try,
        trace_id="4bf92f3577b34da6a3ce929d0e0e4736",
        revision=revision(issued) if issued else None,
        wanted_revision=issued,
        targets=targets or (target(), target(name="pods")),
        endpoints=endpoints or (endpoint(),),
    )


def condition(
    kind: ConditionType = ConditionType.SERVED, status: ConditionStatus = ConditionStatus.TRUE, *, message: str = ""
) -> Condition:
    return Condition(
        type=kind, status=status, reason="Seen", message=message or "all is well", since=NOON - timedelta(hours=5)
    )


def summary(
    name: str = "shop",
    *,
    not_after: datetime | None = None,
    reason: str = "",
    state: str | None = None,
    health: str = Health.OK,
    health_reason: str = "",
    served_until: datetime | None = None,
) -> CertificateSummary:
    return CertificateSummary(
        id=f"c-{name}",
        name=name,
        owner="team-shop",
        exposure=Exposure.INTERNAL,
        state=state or (CertificateState.LIVE if not_after else CertificateState.ISSUING),
        reason=reason,
        health=health,
        health_reason=health_reason,
        dns_names=(f"{name}.example.org",),
        revision=1 if not_after else None,
        not_after=not_after,
        targets_done=1,
        targets_total=2,
        endpoints_done=0,
        endpoints_total=1,
        served_until=served_until,
    )

"""Submission: what a new request must keep to, and what it leads to."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from certcore.api import CertificateState
from certcore.certificate import CertificateSpec, approval_hash, stored
from certcore.events import CertificateRequested, CertificateWaiting
from certcore.identities import HUB
from certcore.intent import Intent
from certcore.placements import PLATFORM
from certcore.rejection import Rejection
from certcore.targets import KeyHolder, TargetKind, TargetKinds, TargetRequest
from registry.domain import approval as approval_policy
from registry.domain.certificate import Certificate, Request
from registry.domain.decision import Decision, grant
from registry.domain.endpoint import Endpoint
from registry.domain.lifecycle import Trigger, follow
from registry.domain.placement import Placement
from registry.domain.rollout import Rollout
from registry.domain.site import Carried, Site

__all__ = ["Ids", "Known", "check", "submit"]


@dataclass(frozen=True)
class Ids:
    """The ids of what a submission makes; `approval` is used where policy approves at once."""

    certificate: str
    request: str
    approval: str


@dataclass(frozen=True)
class Known:
    """What a request is compared with. `carried` are the kinds that each service reported to deliver."""

    sites: Sequence[Site]
    kinds: TargetKinds
    carried: Carried
    issuers: Collection[str]


def check(spec: CertificateSpec, known: Known, *, is_taken: bool, now: datetime) -> list[Rejection]:
    """What is wrong with the request beside its form; `is_taken`: another certificate has its name."""
    found = []
    for number, target in enumerate(spec.targets):
        kind = known.kinds[target.kind]
        fault = _fault_of_name(target, kind) or _fault_of_place(target, kind, known)
        if fault is not None:
            field, message = fault
            found.append(Rejection(field=f"targets.{number}.{field}", message=message))
    if spec.issuer is not None and spec.issuer not in known.issuers:
        names = ", ".join(sorted(known.issuers)) or "none configured"
        found.append(Rejection(field="issuer", message=f"is no known issuer (known: {names})"))
    if spec.end_date is not None and spec.end_date <= now:
        found.append(Rejection(field="end_date", message="lies in the past"))
    if is_taken:
        found.append(Rejection(field="name", message="is taken by another certificate"))
    return found


def _fault_of_name(target: TargetRequest, kind: TargetKind) -> tuple[str, str] | None:
    """A target that makes its own key has a variant of its own name."""
    own_key = kind.capabilities.key_holder is KeyHolder.TARGET
    if own_key and (target.name == PLATFORM or target.name.startswith(f"{PLATFORM}-")):
        return "name", f"must be another: {PLATFORM} is the name of keys that the platform makes"
    return None


def _fault_of_place(target: TargetRequest, kind: TargetKind, known: Known) -> tuple[str, str] | None:
    """Field and message, where no service could deliver to the target."""
    if target.site == HUB or (target.site is not None and not kind.at_site and target.site != HUB):
        message = "must be a site" if kind.at_site else f"must be left out: a {kind.kind} belongs to no site"
        return "site", message
    by_name = {site.name: site for site in known.sites}
    place = target.site or HUB
    site = by_name.get(place)
    if site is None:
        names = ", ".join(sorted(name for name in by_name if name != HUB)) or "none yet"
        if place == HUB:
            return "kind", f"can't be delivered: no {kind.service} is enrolled at {HUB}"
        return "site", f"is no known site (known: {names})"
    if kind.service not in site.services:
        return "kind", f"can't be delivered at {place}: it has no {kind.service}"
    carried = known.carried.get((place, kind.service))
    if carried is not None and kind.kind not in carried:
        names = ", ".join(sorted(carried)) or "nothing"
        return "kind", f"can't be delivered at {place}: its {kind.service} delivers only to {names}"
    return None


def submit(
    spec: CertificateSpec,
    known: Known,
    *,
    owner: str,
    requester: str,
    ids: Ids,
    traceparent: str | None,
    now: datetime,
) -> Decision:
    """A new certificate and its request, which waits for people or is approved by policy at once."""
    spec = spec.model_copy(update={"owner": owner})
    spec_hash = approval_hash(spec, owner=owner)
    intent = Intent.model_validate(stored(spec))
    need = approval_policy.need(spec.exposure)
    certificate = Certificate(
        id=ids.certificate,
        name=spec.name,
        owner=owner,
        requester=requester,
        intent=intent,
        spec_hash=spec_hash,
        state=CertificateState.REQUESTED,
        reason="requested",
        state_since=now,
        created_at=now,
        traceparent=traceparent,
    )
    request = Request(
        id=ids.request,
        certificate_id=certificate.id,
        name=spec.name,
        requester=requester,
        owner=owner,
        intent=intent,
        spec_hash=spec_hash,
        state="waiting",
        reason=need.reason,
        created_at=now,
        traceparent=traceparent,
    )
    rollout = Rollout(
        certificate,
        revisions=(),
        placements=tuple(Placement.of(certificate.id, item, known.kinds[item.kind]) for item in intent.targets),
        endpoints=tuple(Endpoint(certificate.id, item.url, item.target) for item in intent.endpoints),
    )
    requested = CertificateRequested(
        certificate_id=certificate.id,
        name=certificate.name,
        owner=owner,
        request_id=request.id,
        requester=requester,
        dns_names=intent.dns_names,
        exposure=intent.exposure,
        intent=intent,
    )
    if need.approvers == 0:
        granted = grant(
            request, rollout, known.sites, approval_id=ids.approval, approved_by=(), policy=need.policy, now=now
        )
        return granted.after(requested)
    certificate = certificate.moved(follow(certificate.state, Trigger.APPROVAL_NEEDED), need.reason, now)
    waiting = CertificateWaiting(
        certificate_id=certificate.id,
        name=certificate.name,
        owner=owner,
        request_id=request.id,
        reason=need.reason,
    )
    return Decision(request, rollout.with_certificate(certificate), need.reason, announced=(requested, waiting))

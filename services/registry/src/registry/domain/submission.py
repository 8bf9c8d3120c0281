"""Submission: what a new request must keep to, and what it leads to."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from certcore.api import CertificateState
from certcore.certificate import CertificateSpec, approval_hash, stored
from certcore.events import CertificateRequested, CertificateWaiting
from certcore.identities import HUB
from certcore.intent import Intent
from certcore.placements import PLATFORM
from certcore.rejection import Rejection
from certcore.targets import KeyHolder, TargetKind, TargetKinds, TargetRequest
from registry.domain.access import Principal
from registry.domain.certificate import Certificate, Request
from registry.domain.decision import Decision, grant
from registry.domain.endpoint import Endpoint
from registry.domain.lifecycle import Trigger, follow
from registry.domain.placement import Placement
from registry.domain.repetition import asked_again
from registry.domain.rollout import Rollout
from registry.domain.site import Carried, Site
from registry.domain.terms import Terms

__all__ = ["Ids", "Known", "check", "on_terms", "submit"]


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


def check(spec: CertificateSpec, known: Known, *, taken: str | None, now: datetime) -> list[Rejection]:
    """What is wrong with the request beside its form; `taken` is what is told of its name where that isn't free."""
    found = []
    for number, target in enumerate(spec.targets):
        kind = known.kinds[target.kind]
        fault = _fault_of_name(target, kind) or _fault_of_place(target, kind, known)
        if fault is not None:
            field, message = fault
            found.append(Rejection(field=f"targets.{number}.{field}", message=message))
    if spec.end_date is not None and spec.end_date <= now:
        found.append(Rejection(field="end_date", message="lies in the past"))
    if taken is not None:
        found.append(Rejection(field="name", message=taken))
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
    by: Principal,
    terms: Terms,
    pending: timedelta | None,
    ids: Ids,
    traceparent: str | None,
    now: datetime,
    denied: Certificate | None = None,
) -> Decision:
    """A certificate and its request, which waits for people so long, or is approved by policy at once. The
    certificate is a new one, or one that was denied and is asked for again.
    """
    spec = spec.model_copy(update={"owner": owner})
    spec_hash = approval_hash(spec, owner=owner)
    intent = Intent.model_validate(stored(spec))
    certificate = Certificate(
        id=ids.certificate,
        name=spec.name,
        owner=owner,
        requester=by.subject,
        intent=intent,
        spec_hash=spec_hash,
        state=CertificateState.REQUESTED,
        reason="requested",
        state_since=now,
        created_at=now,
        traceparent=traceparent,
    )
    if denied is not None:
        certificate = asked_again(denied, certificate)
    request = Request(
        id=ids.request,
        certificate_id=certificate.id,
        name=spec.name,
        requester=by.subject,
        owner=owner,
        intent=intent,
        spec_hash=spec_hash,
        state="waiting",
        reason="",
        created_at=now,
        traceparent=traceparent,
        by_workload=by.is_workload,
    )
    request = on_terms(request, terms, pending)
    reason = request.reason
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
        requester=by.subject,
        dns_names=intent.dns_names,
        exposure=intent.exposure,
        intent=intent,
    )
    if not terms.needed:
        granted = grant(request, rollout, known.sites, approval_id=ids.approval, approved_by=(), now=now)
        return granted.after(requested)
    certificate = certificate.moved(follow(certificate.state, Trigger.APPROVAL_NEEDED), reason, now)
    waiting = CertificateWaiting(
        certificate_id=certificate.id,
        name=certificate.name,
        owner=owner,
        request_id=request.id,
        reason=reason,
    )
    return Decision(request, rollout.with_certificate(certificate), reason, announced=(requested, waiting))


def on_terms(request: Request, terms: Terms, pending: timedelta | None) -> Request:
    """A request on the terms of policy, which waits so long for whom they name."""
    reason = terms.reason if terms.needed else f"allowed by policy (rule {terms.rule})"
    expires_at = request.created_at + pending if pending is not None and terms.needed else None
    return replace(request, reason=reason, terms=terms, expires_at=expires_at)

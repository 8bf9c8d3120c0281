"""Submission: what a new request must keep to, and what it leads to."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from certcore.api import CertificateState
from certcore.certificate import CertificateSpec, approval_hash
from certcore.events import CertificateRequested, CertificateWaiting
from certcore.rejection import Rejection
from certcore.subjects import HUB
from certcore.targets import SERVICE_OF_KIND
from registry.domain import approval as approval_policy
from registry.domain.certificate import Certificate, Request
from registry.domain.decision import Decision, grant
from registry.domain.lifecycle import Trigger, follow
from registry.domain.site import Site

__all__ = ["Ids", "check", "submit"]


@dataclass(frozen=True)
class Ids:
    """The ids of what a submission makes; `approval` is used where policy approves at once."""

    certificate: str
    request: str
    approval: str


def check(
    spec: CertificateSpec,
    *,
    sites: Sequence[Site],
    issuers: Collection[str],
    is_taken: bool,
    now: datetime,
) -> list[Rejection]:
    """What stands against the request beside its form; `is_taken` tells that another certificate has its name."""
    by_name = {site.name: site for site in sites}
    found = []
    for number, target in enumerate(spec.targets):
        site = by_name.get(target.site)
        if site is None or target.site == HUB:
            known = ", ".join(sorted(by_name)) or "none yet"
            found.append(Rejection(field=f"targets.{number}.site", message=f"is no known site (known: {known})"))
        elif SERVICE_OF_KIND[target.kind] not in site.services:
            message = f"can't be delivered at {site.name}: it has no {SERVICE_OF_KIND[target.kind]}"
            found.append(Rejection(field=f"targets.{number}.kind", message=message))
    if spec.issuer is not None and spec.issuer not in issuers:
        known = ", ".join(sorted(issuers)) or "none configured"
        found.append(Rejection(field="issuer", message=f"is no known issuer (known: {known})"))
    if spec.end_date is not None and spec.end_date <= now:
        found.append(Rejection(field="end_date", message="lies in the past"))
    if is_taken:
        found.append(Rejection(field="name", message="is taken by another certificate"))
    return found


def submit(
    spec: CertificateSpec,
    *,
    owner: str,
    requester: str,
    sites: Sequence[Site],
    ids: Ids,
    traceparent: str | None,
    now: datetime,
) -> Decision:
    """A new certificate and its request, which waits for people or is approved by policy at once."""
    spec = spec.model_copy(update={"owner": owner})
    spec_hash = approval_hash(spec, owner=owner)
    need = approval_policy.need(spec.exposure)
    certificate = Certificate(
        id=ids.certificate,
        owner=owner,
        requester=requester,
        spec=spec,
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
        requester=requester,
        owner=owner,
        spec=spec,
        spec_hash=spec_hash,
        state="waiting",
        reason=need.reason,
        created_at=now,
        traceparent=traceparent,
    )
    requested = CertificateRequested(
        certificate_id=certificate.id,
        name=certificate.name,
        owner=owner,
        request_id=request.id,
        requester=requester,
        dns_names=spec.dns_names,
        exposure=spec.exposure,
    )
    if need.approvers == 0:
        granted = grant(
            request, certificate, sites, approval_id=ids.approval, approved_by=(), policy=need.policy, now=now
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
    return Decision(request, certificate, need.reason, announced=(requested, waiting))

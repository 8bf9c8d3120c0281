"""Decisions on requests: granted or denied, by policy or by people, each with its reason."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self

from certcore.certificate import Exposure
from certcore.events import CertificateApproved, CertificateApprovedForCsr, CertificateDenied
from registry.domain import approval as approval_policy
from registry.domain.certificate import Approval, Certificate, Request
from registry.domain.change import Announced
from registry.domain.errors import ConflictError, ForbiddenError
from registry.domain.lifecycle import Trigger, follow
from registry.domain.orders import Ordered, order_revision
from registry.domain.revision import SigningRequest
from registry.domain.rollout import Rollout
from registry.domain.site import Site

__all__ = ["Decision", "approve", "deny", "grant"]


@dataclass(frozen=True)
class Decision:
    """A request and its certificate as they are to be saved, the approval where one was given, what to announce."""

    request: Request
    rollout: Rollout
    reason: str
    approval: Approval | None = None
    signing: tuple[SigningRequest, ...] = ()
    announced: tuple[Announced, ...] = ()

    @property
    def certificate(self) -> Certificate:
        return self.rollout.certificate

    def saved(self, certificate: Certificate) -> Self:
        """The same, with the certificate as it was saved."""
        return replace(self, rollout=self.rollout.with_certificate(certificate))

    def after(self, event: Announced) -> Self:
        """The same, with an event that is announced before the others."""
        return replace(self, announced=(event, *self.announced))


def approve(
    request: Request,
    rollout: Rollout,
    sites: Sequence[Site],
    *,
    person: str,
    approval_id: str,
    now: datetime,
) -> Decision:
    """A person approves a waiting request.

    Raises:
        ForbiddenError: the person may not decide on this one.
        ConflictError: it was decided before, or its intent changed since.
    """
    _check_decidable(request, person)
    certificate = rollout.certificate
    if certificate.spec_hash != request.spec_hash:
        raise ConflictError(f"certificate {certificate.name} was changed after this request: ask again")
    if certificate.unreadable is not None or not isinstance(certificate.intent.exposure, Exposure):
        why = certificate.unreadable or f"its exposure {certificate.intent.exposure} is not known to this version"
        raise ConflictError(f"{certificate.name} can't be approved now: {why}")
    policy = approval_policy.need(certificate.intent.exposure).policy
    return grant(request, rollout, sites, approval_id=approval_id, approved_by=(person,), policy=policy, now=now)


def deny(request: Request, rollout: Rollout, *, person: str, reason: str, now: datetime) -> Decision:
    """A person refuses a waiting request, for good.

    Raises:
        ForbiddenError: the person may not decide on this one.
        ConflictError: it was decided before.
    """
    _check_decidable(request, person)
    certificate = rollout.certificate
    reason = f"denied by {person}: {reason}"
    denied = CertificateDenied(
        certificate_id=certificate.id,
        name=certificate.name,
        owner=certificate.owner,
        request_id=request.id,
        denied_by=person,
        reason=reason,
    )
    return Decision(
        replace(request, state="denied", reason=reason, decided_by=person, decided_at=now),
        rollout.with_certificate(certificate.moved(follow(certificate.state, Trigger.DENIED), reason, now)),
        reason,
        announced=(denied,),
    )


def grant(
    request: Request,
    rollout: Rollout,
    sites: Sequence[Site],
    *,
    approval_id: str,
    approved_by: tuple[str, ...],
    policy: approval_policy.Policy,
    now: datetime,
) -> Decision:
    """The approval, and the order for the first revision. Without approvers, policy itself approves.

    After a restore the issuer may have revisions of it already: then the newest of them is ordered, and nothing anew.
    """
    certificate = rollout.certificate
    reason = f"approved by {', '.join(approved_by)}" if approved_by else f"approved by policy {policy}"
    decider = approved_by[0] if approved_by else f"policy {policy}"
    approval = Approval(
        id=approval_id,
        certificate_id=certificate.id,
        request_id=request.id,
        spec_hash=request.spec_hash,
        approved_by=approved_by,
        policy=policy,
        granted_at=now,
    )
    request = replace(request, state="approved", reason=reason, decided_by=decider[:63], decided_at=now)
    number = max(certificate.ordered, 1)
    certificate = replace(certificate, approval_id=approval.id, ordered=number)
    certificate = certificate.moved(follow(certificate.state, Trigger.APPROVED), reason, now)
    rollout = rollout.with_certificate(certificate)
    ordered = order_revision(rollout, approval, number, sites, now=now)
    approved = _approved(rollout, ordered, approved_by, policy)
    return Decision(
        request,
        rollout,
        reason,
        approval=approval,
        signing=ordered.signing,
        announced=(approved, *ordered.asked),
    )


def _approved(
    rollout: Rollout, ordered: Ordered, approved_by: tuple[str, ...], policy: str
) -> CertificateApproved | CertificateApprovedForCsr:
    certificate = rollout.certificate
    if ordered.order is None:
        return CertificateApprovedForCsr(
            certificate_id=certificate.id,
            name=certificate.name,
            owner=certificate.owner,
            approved_by=approved_by,
            policy=policy,
            targets=tuple(placement.target for placement in rollout.placements),
        )
    return CertificateApproved(
        certificate_id=certificate.id,
        name=certificate.name,
        owner=certificate.owner,
        approved_by=approved_by,
        policy=policy,
        order=ordered.order,
    )


def _check_decidable(request: Request, person: str) -> None:
    match approval_policy.may_decide(request, person=person):
        case approval_policy.Refusal.ALREADY_DECIDED as refusal:
            raise ConflictError(f"{refusal}: it is {request.state}")
        case approval_policy.Refusal.OWN_REQUEST as refusal:
            raise ForbiddenError(str(refusal))

"""Decisions on requests: granted or denied, by policy or by people, each with its reason."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Self

from certcore.certificate import Exposure
from certcore.events import CertificateApproved, CertificateApprovedForCsr, CertificateDenied, RequestKind
from certcore.policy.quorum import Approver, missing, needed_text
from certcore.policy.spans import span_text
from registry.domain.approval import Decider, Refusal, may_decide
from registry.domain.certificate import Approval, Certificate, Request
from registry.domain.change import Announced
from registry.domain.errors import ConflictError, ForbiddenError
from registry.domain.lifecycle import Trigger, follow
from registry.domain.orders import Ordered, order_revision
from registry.domain.revision import SigningRequest
from registry.domain.rollout import Rollout
from registry.domain.site import Site
from registry.domain.terms import BEFORE_POLICIES

__all__ = ["Decision", "approve", "deny", "expire", "extend", "grant"]


@dataclass(frozen=True)
class Decision:
    """A request and its certificate as they are to be saved, the approval where one was given, what to announce.

    `is_new` is False where the same was asked for before, and nothing is to be saved.
    """

    request: Request
    rollout: Rollout
    reason: str
    approval: Approval | None = None
    signing: tuple[SigningRequest, ...] = ()
    announced: tuple[Announced, ...] = ()
    is_new: bool = True

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
    person: Decider,
    given: Sequence[Approver],
    approval_id: str,
    now: datetime,
) -> Decision:
    """A person approves a waiting request, which has been `given` other approvals. Where more are needed it waits on.

    Raises:
        ForbiddenError: the person may not decide on this one.
        ConflictError: it was decided before, or its intent changed since.
    """
    _check_decidable(request, person, given)
    certificate = rollout.certificate
    if certificate.spec_hash != request.spec_hash:
        raise ConflictError(f"certificate {certificate.name} was changed after this request: ask again")
    if certificate.unreadable is not None or not isinstance(certificate.intent.exposure, Exposure):
        why = certificate.unreadable or f"its exposure {certificate.intent.exposure} is not known to this version"
        raise ConflictError(f"{certificate.name} can't be approved now: {why}")
    everybody = [*given, person.approver]
    names = tuple(item.person for item in everybody)
    if needed := missing((request.terms or BEFORE_POLICIES).needed, everybody):
        reason = f"approved by {', '.join(names)}; still needs {needed_text(needed)}"
        if request.kind == RequestKind.RENEW:
            return Decision(replace(request, reason=reason), rollout, reason)
        moved = certificate.moved(certificate.state, reason, now)
        return Decision(replace(request, reason=reason), rollout.with_certificate(moved), reason)
    if request.kind == RequestKind.RENEW:
        return extend(request, rollout, approval_id=approval_id, approved_by=names, now=now)
    return grant(request, rollout, sites, approval_id=approval_id, approved_by=names, now=now)


def deny(
    request: Request,
    rollout: Rollout,
    *,
    person: Decider,
    reason: str,
    now: datetime,
) -> Decision:
    """A person refuses a waiting request, for good.

    Raises:
        ForbiddenError: the person may not decide on this one.
        ConflictError: it was decided before.
    """
    _check_decidable(request, person, ())
    reason = f"denied by {person.name}: {reason}"
    return _refused(request, rollout, state="denied", by=person.name, reason=reason, now=now)


def expire(request: Request, rollout: Rollout, *, now: datetime) -> Decision:
    """A request that waited too long ends as one that is denied."""
    waited = span_text(timedelta(minutes=(now - request.created_at) // timedelta(minutes=1)))
    reason = f"expired: nobody decided within {waited}"
    return _refused(request, rollout, state="expired", by="policy", reason=reason, now=now)


def _refused(request: Request, rollout: Rollout, *, state: str, by: str, reason: str, now: datetime) -> Decision:
    certificate = rollout.certificate
    request = replace(request, state=state, reason=reason, decided_by=by, decided_at=now)
    if request.kind == RequestKind.RENEW:
        # What is approved already goes on until its approval ends.
        return Decision(request, rollout, reason)
    denied = CertificateDenied(
        certificate_id=certificate.id,
        name=certificate.name,
        owner=certificate.owner,
        request_id=request.id,
        denied_by=by,
        reason=reason,
    )
    return Decision(
        request,
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
    now: datetime,
) -> Decision:
    """The approval, and the order for the first revision. Without approvers, policy itself approves.

    After a restore the issuer may have revisions of it already: then the newest of them is ordered, and nothing anew.
    """
    certificate = rollout.certificate
    request, approval = _granted(request, approval_id, approved_by, now)
    policy, reason = approval.policy, request.reason
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


def extend(
    request: Request, rollout: Rollout, *, approval_id: str, approved_by: tuple[str, ...], now: datetime
) -> Decision:
    """A new approval of a certificate as it is: its renewals cite this one from now on. Nothing is ordered."""
    request, approval = _granted(request, approval_id, approved_by, now)
    certificate = replace(rollout.certificate, approval_id=approval.id)
    return Decision(request, rollout.with_certificate(certificate), request.reason, approval=approval)


def _granted(
    request: Request, approval_id: str, approved_by: tuple[str, ...], now: datetime
) -> tuple[Request, Approval]:
    terms = request.terms or BEFORE_POLICIES
    reason = f"approved by {', '.join(approved_by)}" if approved_by else f"approved by policy {terms.rule}"
    decider = approved_by[0] if approved_by else f"policy {terms.rule}"
    approval = Approval(
        id=approval_id,
        certificate_id=request.certificate_id,
        request_id=request.id,
        spec_hash=request.spec_hash,
        approved_by=approved_by,
        policy=terms.rule,
        granted_at=now,
        policy_digest=terms.policy,
        ends_at=now + terms.approval_lasts if terms.approval_lasts else None,
        renewals_apart=terms.renewals_apart,
        cas=terms.cas,
    )
    return replace(request, state="approved", reason=reason, decided_by=decider[:63], decided_at=now), approval


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


def _check_decidable(request: Request, person: Decider, given: Sequence[Approver]) -> None:
    match may_decide(request, person, given=given):
        case Refusal.ALREADY_DECIDED as refusal:
            raise ConflictError(f"{refusal}: it is {request.state}")
        case Refusal.ALREADY_APPROVED as refusal:
            raise ConflictError(str(refusal))
        case None:
            return
        case refusal:
            raise ForbiddenError(str(refusal))

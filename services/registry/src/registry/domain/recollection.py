"""What the bus still holds of the time that a restored registry lost: certificates, approvals, and orders.

Only what was published is believed: a certificate without its approval waits for one.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Self

from certcore.api import CertificateState
from certcore.certificate import CertificateSpec, approval_hash, stored
from certcore.events import (
    CertificateApproved,
    CertificateApprovedForCsr,
    CertificateDenied,
    CertificateRenewalDue,
    CertificateRenewalDueForCsr,
    CertificateRequested,
    CsrAccepted,
    Event,
)
from certcore.intent import Intent
from certcore.targets import TargetKinds
from registry.domain.certificate import Approval, Certificate, Request
from registry.domain.endpoint import Endpoint
from registry.domain.lifecycle import Trigger, follow
from registry.domain.placement import Placement
from registry.domain.rollout import Rollout

__all__ = ["TOLD_BY", "Memory", "Recollected", "recollect", "recreate", "was_asked_again"]

TOLD_BY: Final[tuple[type[Event], ...]] = (
    CertificateRequested,
    CertificateApproved,
    CertificateApprovedForCsr,
    CertificateDenied,
    CertificateRenewalDue,
    CertificateRenewalDueForCsr,
    CsrAccepted,
)
"""The events that tell of it."""

_RENEWABLE: Final = frozenset({CertificateState.DELIVERING, CertificateState.LIVE, CertificateState.FAILING})


@dataclass(frozen=True)
class Memory:
    """What was published of one certificate and isn't stored here. `ordered` is the highest revision of it.

    Where it was denied and asked for again, only what was decided of the last request counts.
    """

    requested: CertificateRequested | None = None
    requested_at: datetime | None = None
    approved: CertificateApproved | CertificateApprovedForCsr | None = None
    denied: CertificateDenied | None = None
    decided_at: datetime | None = None
    ordered: int = 0

    @classmethod
    def of(cls, told: Iterable[tuple[Event, datetime]]) -> Self:
        """By the events with the instants at which they were made, in any order."""
        told = list(told)
        asked = [instant for event, instant in told if isinstance(event, CertificateRequested)]
        memory = cls()
        for event, instant in told:
            if not asked or instant >= max(asked):
                memory = memory._with(event, instant)
        return memory

    def _with(self, event: Event, instant: datetime) -> Self:
        memory = replace(self, ordered=max(self.ordered, _ordered_by(event)))
        match event:
            case CertificateRequested():
                return replace(memory, requested=event, requested_at=instant)
            case CertificateApproved() | CertificateApprovedForCsr():
                return replace(memory, approved=event, decided_at=instant)
            case CertificateDenied():
                return replace(memory, denied=event, decided_at=instant)
        return memory


def _ordered_by(event: Event) -> int:
    match event:
        case CertificateApproved(order=order) | CertificateRenewalDue(order=order) | CsrAccepted(order=order):
            return order.revision
        case CertificateRenewalDueForCsr(revision=revision):
            return revision
    return 1 if isinstance(event, CertificateApprovedForCsr) else 0


@dataclass(frozen=True)
class Recollected:
    """As they are to be stored; `approval` where one was lost."""

    rollout: Rollout
    request: Request
    approval: Approval | None = None


def recreate(memory: Memory, spec: CertificateSpec, kinds: TargetKinds, *, floor: int, now: datetime) -> Recollected:
    """A certificate that isn't stored, as it was requested; `spec` is what its intent was read as.

    `floor` is the lowest generation of the epoch: its targets may hold some of an earlier one.
    """
    requested, since = memory.requested, memory.requested_at or now
    assert requested is not None, "without its request nothing is known of a certificate"
    spec = spec.model_copy(update={"owner": requested.owner})
    intent = Intent.model_validate(stored(spec))
    spec_hash = approval_hash(spec, owner=requested.owner)
    reason = "its approval is not known any more: the registry was restored from an older copy"
    certificate = Certificate(
        id=requested.certificate_id,
        name=requested.name,
        owner=requested.owner,
        requester=requested.requester,
        intent=intent,
        spec_hash=spec_hash,
        state=CertificateState.WAITING_FOR_APPROVAL,
        reason=reason,
        state_since=now,
        created_at=since,
        generation_floor=floor,
    )
    request = Request(
        id=requested.request_id,
        certificate_id=certificate.id,
        name=certificate.name,
        requester=certificate.requester,
        owner=certificate.owner,
        intent=intent,
        spec_hash=spec_hash,
        state="waiting",
        reason=reason,
        created_at=since,
        traceparent=None,
    )
    rollout = Rollout(
        certificate,
        revisions=(),
        placements=tuple(Placement.of(certificate.id, item, kinds[item.kind]) for item in intent.targets),
        endpoints=tuple(Endpoint(certificate.id, item.url, item.target) for item in intent.endpoints),
    )
    return Recollected(rollout, request)


def was_asked_again(memory: Memory, request: Request) -> bool:
    """Whether a certificate whose newest request is this one was denied, and asked for again since."""
    requested = memory.requested
    return requested is not None and requested.intent is not None and requested.request_id != request.id


def recollect(memory: Memory, rollout: Rollout, request: Request, *, approval_id: str, now: datetime) -> Recollected:
    """Take over what was decided and ordered since; `approval_id` is used where the event has none."""
    certificate = rollout.certificate
    number = max(certificate.ordered, memory.ordered)
    is_waiting = certificate.state is CertificateState.WAITING_FOR_APPROVAL and request.state == "waiting"
    decided_at = memory.decided_at or now
    if is_waiting and memory.denied is not None:
        denied = memory.denied
        certificate = certificate.moved(follow(certificate.state, Trigger.DENIED), denied.reason, now)
        request = replace(
            request, state="denied", reason=denied.reason, decided_by=denied.denied_by, decided_at=decided_at
        )
        return Recollected(rollout.with_certificate(certificate), request)
    if is_waiting and memory.approved is not None:
        approval = _approval(memory.approved, request, approval_id, decided_at)
        by = ", ".join(approval.approved_by)
        reason = f"approved by {by}" if by else f"approved by policy {approval.policy}"
        decider = approval.approved_by[0] if by else f"policy {approval.policy}"
        certificate = replace(certificate, approval_id=approval.id, ordered=max(number, 1))
        certificate = certificate.moved(follow(certificate.state, Trigger.APPROVED), reason, now)
        request = replace(request, state="approved", reason=reason, decided_by=decider[:63], decided_at=decided_at)
        return Recollected(rollout.with_certificate(certificate), request, approval)
    if number > certificate.ordered and certificate.state in _RENEWABLE:
        reason = f"revision {number} was ordered before the registry was restored"
        certificate = certificate.moved(follow(certificate.state, Trigger.RENEWAL_ORDERED), reason, now)
    return Recollected(rollout.with_certificate(replace(certificate, ordered=number)), request)


def _approval(
    approved: CertificateApproved | CertificateApprovedForCsr,
    request: Request,
    approval_id: str,
    granted_at: datetime,
) -> Approval:
    own = approved.order.approval_id if isinstance(approved, CertificateApproved) else approval_id
    return Approval(
        id=own,
        certificate_id=request.certificate_id,
        request_id=request.id,
        spec_hash=request.spec_hash,
        approved_by=approved.approved_by,
        policy=approved.policy,
        granted_at=granted_at,
    )

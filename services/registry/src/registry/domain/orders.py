"""What is ordered from the issuer: announced once, and listed as a level until it is issued."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from certcore.events import IssueCause, IssueOrder, Recipient
from certcore.placements import PLATFORM
from registry.domain.certificate import Approval, Certificate
from registry.domain.planning import RenewalReason, planned
from registry.domain.revision import Revision, SigningRequest, SigningState
from registry.domain.rollout import Rollout
from registry.domain.signing import WantedCsr, want_csrs
from registry.domain.site import Site, recipients

__all__ = ["Ordered", "csr_order", "is_awaited", "order_revision", "standing_orders"]


@dataclass(frozen=True)
class Ordered:
    """The orders for one revision: `order` is None where no target takes a key that the platform makes."""

    order: IssueOrder | None
    signing: tuple[SigningRequest, ...]
    asked: tuple[WantedCsr, ...]


def order_revision(
    rollout: Rollout, approval: Approval, number: int, sites: Sequence[Site], *, now: datetime
) -> Ordered:
    """The platform's variant is sealed to every service that delivers it; the other targets are asked for a CSR."""
    signing, asked = want_csrs(rollout, number, now=now)
    order = _platform_order(rollout, approval, number, sites) if _takes_platform(rollout) else None
    return Ordered(order, signing, asked)


def csr_order(rollout: Rollout, request: SigningRequest, approval: Approval | None) -> IssueOrder:
    """The order for the signing request that a target offered."""
    return _order(
        rollout.certificate,
        rollout.certificate.approval_id or "",
        request.revision,
        cas=_cas(approval),
        cause=IssueCause.FIRST if request.revision == 1 else _renewed_by(rollout, request.revision),
        variant=request.variant,
        csr_pem=request.csr_pem,
    )


def standing_orders(rollout: Rollout, sites: Sequence[Site], approval: Approval | None) -> tuple[IssueOrder, ...]:
    """Every order of the certificate that the issuer has still to carry out, each as it was announced.

    What the issuer gave up is among them: it knows what it gave up. None where the approval covers another intent.
    """
    certificate = rollout.certificate
    if not certificate.active or certificate.unreadable is not None:
        return ()
    if approval is None or approval.id != certificate.approval_id or approval.spec_hash != certificate.spec_hash:
        return ()
    found = []
    if _takes_platform(rollout) and is_awaited(rollout, certificate.ordered, PLATFORM):
        found.append(_platform_order(rollout, approval, certificate.ordered, sites))
    # A restored registry has lost the signing request itself: then the issuer stores what it has.
    found += [
        csr_order(rollout, request, approval)
        for request in rollout.signing
        if request.state is SigningState.ORDERED and request.csr_pem is not None
    ]
    return tuple(found)


def is_awaited(rollout: Rollout, revision: int, variant: str) -> bool:
    """Whether this variant of a revision is the one that was ordered last, and isn't known as issued."""
    newest = max((item.wanted or 0 for item in rollout.placements if item.variant == variant), default=0)
    return newest < revision == rollout.certificate.ordered


def _takes_platform(rollout: Rollout) -> bool:
    return any(item.variant == PLATFORM for item in rollout.placements)


def _platform_order(rollout: Rollout, approval: Approval, number: int, sites: Sequence[Site]) -> IssueOrder:
    replaced = _replaced(rollout, number)
    return _order(
        rollout.certificate,
        approval.id,
        number,
        cas=_cas(approval),
        recipients=recipients(rollout.placements, sites),
        replaces=replaced.ari_id if replaced else None,
        cause=_renewed_by(rollout, number) if replaced else IssueCause.FIRST,
    )


def _renewed_by(rollout: Rollout, number: int) -> IssueCause:
    """Whether the CA's window had brought the renewal about when it was ordered.

    It is told by what is stored, so that an order is listed as it was announced, until the CA changes the window of
    what is being renewed.
    """
    ordered_at = rollout.certificate.ordered_at
    before = [item for item in rollout.revisions if item.announced and item.number < number]
    newest = max((item.number for item in before), default=0)
    plan = min((planned(item) for item in before if item.number == newest), key=lambda plan: plan.at, default=None)
    if plan is None or ordered_at is None or plan.reason is not RenewalReason.SUGGESTED:
        return IssueCause.RENEWAL
    return IssueCause.ARI if plan.at <= ordered_at else IssueCause.RENEWAL


def _replaced(rollout: Rollout, number: int) -> Revision | None:
    # A variant of the revision itself may be issued already.
    return next((item for item in rollout.variants if item.number < number), None)


def _cas(approval: Approval | None) -> tuple[str, ...]:
    return (approval.cas or ()) if approval is not None else ()


def _order(
    certificate: Certificate,
    approval_id: str,
    number: int,
    *,
    cause: IssueCause,
    cas: tuple[str, ...],
    recipients: tuple[Recipient, ...] = (),
    replaces: str | None = None,
    variant: str = PLATFORM,
    csr_pem: str | None = None,
) -> IssueOrder:
    return IssueOrder(
        certificate_id=certificate.id,
        name=certificate.name,
        revision=number,
        dns_names=certificate.intent.dns_names,
        exposure=certificate.intent.exposure,
        issuer=certificate.intent.issuer,
        key_algorithm=certificate.intent.key_algorithm,
        approval_id=approval_id,
        recipients=recipients,
        replaces=replaces,
        cause=cause,
        variant=variant,
        csr_pem=csr_pem,
        cas=cas,
        owner=certificate.owner,
    )

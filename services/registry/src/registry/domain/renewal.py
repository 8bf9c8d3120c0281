"""When a certificate is renewed: by its share of lifetime, so that 6-day and 200-day ones fit one rule."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from certcore.api import CertificateState
from certcore.events import CertificateRenewalDue, CertificateRenewalDueForCsr
from registry.domain.certificate import Approval, Certificate
from registry.domain.change import Change
from registry.domain.lifecycle import Trigger, follow
from registry.domain.orders import order_revision
from registry.domain.revision import Revision
from registry.domain.rollout import Rollout
from registry.domain.site import Site

__all__ = ["Renewal", "RenewalReason", "decide", "due_at", "order", "renew_at"]

_SHORT_LIVED: Final = timedelta(days=10)
_GIVEN_UP_AGAIN: Final = timedelta(hours=6)
"""How long after the issuer gave up a renewal it is ordered again: what is served must not expire by one failure, and
CAs count failures by the hour.
"""


class RenewalReason(StrEnum):
    """Why a certificate is renewed now, or is not: metric label, and what the page shows."""

    DUE = "due"
    FAILED_BEFORE = "failed_before"
    ASKED = "asked"
    RECIPIENT_KEY = "recipient_has_another_key"
    NOT_DUE = "not_due"
    NOTHING_ISSUED = "nothing_issued"
    IN_PROGRESS = "in_progress"
    ENDED = "ended"
    NOT_APPROVED = "not_approved"
    NOT_ACTIVE = "not_active"
    NOT_READABLE = "not_readable"


@dataclass(frozen=True)
class Renewal:
    due: bool
    reason: RenewalReason


def renew_at(not_before: datetime, not_after: datetime) -> datetime:
    """After two thirds of the lifetime, after half of it for those under ten days (Let's Encrypt's guide)."""
    lifetime = not_after - not_before
    return not_before + (lifetime / 2 if lifetime < _SHORT_LIVED else lifetime * 2 / 3)


def due_at(certificate: Certificate, newest: Revision | None) -> datetime | None:
    """When renewals must look at a certificate; None where nothing is to be renewed, or the issuer works on it."""
    if newest is None or not certificate.active or certificate.unreadable is not None:
        return None
    if certificate.state is CertificateState.FAILING:
        return None if certificate.next_try is not None else certificate.state_since + _GIVEN_UP_AGAIN
    if certificate.ordered > newest.number:
        return None
    return renew_at(newest.not_before, newest.not_after)


def decide(
    certificate: Certificate, newest: Revision | None, approval: Approval | None, *, now: datetime, asked: bool
) -> Renewal:
    """Whether the next revision is ordered now; `asked`: a person requested it before it is due."""
    reason = _obstacle(certificate, newest, approval, now=now, asked=asked)
    if reason is not None:
        return Renewal(due=False, reason=reason)
    if asked:
        return Renewal(due=True, reason=RenewalReason.ASKED)
    due = due_at(certificate, newest)
    if due is None or now < due:
        return Renewal(due=False, reason=RenewalReason.NOT_DUE)
    failing = certificate.state is CertificateState.FAILING
    return Renewal(due=True, reason=RenewalReason.FAILED_BEFORE if failing else RenewalReason.DUE)


def _obstacle(
    certificate: Certificate, newest: Revision | None, approval: Approval | None, *, now: datetime, asked: bool
) -> RenewalReason | None:
    if not certificate.active or certificate.unreadable is not None:
        return RenewalReason.NOT_READABLE if certificate.active else RenewalReason.NOT_ACTIVE
    if approval is None or approval.spec_hash != certificate.spec_hash:
        return RenewalReason.NOT_APPROVED
    end_date = certificate.intent.end_date
    if end_date is not None and end_date <= now:
        return RenewalReason.ENDED
    if certificate.state is CertificateState.FAILING and (asked or newest is not None):
        # The revision that failed is tried again.
        return None
    if newest is None:
        return RenewalReason.NOTHING_ISSUED
    return RenewalReason.IN_PROGRESS if certificate.ordered > newest.number else None


def order(
    rollout: Rollout,
    approval: Approval,
    sites: Sequence[Site],
    reason: RenewalReason,
    *,
    traceparent: str | None,
    now: datetime,
) -> Change:
    """The next revision, or once more the one that failed, under its own number; `traceparent` names its trace."""
    certificate = rollout.certificate
    failing = certificate.state is CertificateState.FAILING
    number = certificate.ordered if failing else certificate.ordered + 1
    certificate = replace(certificate, ordered=number, traceparent=traceparent)
    state = follow(certificate.state, Trigger.RENEWAL_ORDERED)
    why = f"revision {number} ordered: {reason}"
    certificate = certificate.moved(state, why, now)
    ordered = order_revision(rollout.with_certificate(certificate), approval, number, sites, now=now)
    due: CertificateRenewalDue | CertificateRenewalDueForCsr
    if ordered.order is not None:
        due = CertificateRenewalDue(
            certificate_id=certificate.id,
            name=certificate.name,
            owner=certificate.owner,
            reason=reason,
            order=ordered.order,
        )
    else:
        due = CertificateRenewalDueForCsr(
            certificate_id=certificate.id,
            name=certificate.name,
            owner=certificate.owner,
            reason=reason,
            revision=number,
            targets=tuple(placement.target for placement in rollout.placements),
        )
    return Change(why, certificate=certificate, signing=ordered.signing, announced=(due, *ordered.asked))

"""When a certificate is renewed: when its CA suggests it, or by its share of lifetime, so that 6-day and 200-day ones
fit one rule.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
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

__all__ = [
    "Planned",
    "Renewal",
    "RenewalReason",
    "decide",
    "due_at",
    "first_due",
    "not_before",
    "order",
    "planned",
    "renew_at",
]

_SHORT_LIVED: Final = timedelta(days=10)
_LATEST_SHARE: Final = (5, 6)
"""A CA may put a renewal off until this share of the lifetime is over, and no longer: the last sixth (15 days of 90,
a day of 6) is for what goes wrong with the renewal itself.
"""
_GIVEN_UP_AGAIN: Final = timedelta(hours=6)
"""How long after the issuer gave up a renewal it is ordered again: what is served must not expire by one failure, and
CAs count failures by the hour.
"""


class RenewalReason(StrEnum):
    """Why a certificate is renewed now, or is not: metric label, and what the page shows."""

    DUE = "due"
    SUGGESTED = "suggested"
    FAILED_BEFORE = "failed_before"
    ASKED = "asked"
    RECIPIENT_KEY = "recipient_has_another_key"
    NOT_DUE = "not_due"
    NOTHING_ISSUED = "nothing_issued"
    IN_PROGRESS = "in_progress"
    ENDED = "ended"
    NOT_APPROVED = "not_approved"
    APPROVAL_ENDED = "approval_ended"
    NO_CA = "policy_allows_no_ca"
    NOT_ACTIVE = "not_active"
    NOT_READABLE = "not_readable"


@dataclass(frozen=True)
class Renewal:
    due: bool
    reason: RenewalReason
    detail: str = ""

    @property
    def why(self) -> str:
        return f"{self.reason}: {self.detail}" if self.detail else str(self.reason)


@dataclass(frozen=True)
class Planned:
    """When a revision is to be renewed, and why then."""

    at: datetime
    reason: RenewalReason
    detail: str


def renew_at(not_before: datetime, not_after: datetime) -> datetime:
    """After two thirds of the lifetime, after half of it for those under ten days (Let's Encrypt's guide)."""
    lifetime = not_after - not_before
    return not_before + (lifetime / 2 if lifetime < _SHORT_LIVED else lifetime * 2 / 3)


def planned(revision: Revision) -> Planned:
    """By the instant in its CA's window, where the CA told one: earlier than the share of its lifetime would have it,
    or somewhat later.
    """
    window = revision.window
    if window is None:
        share = "half" if revision.not_after - revision.not_before < _SHORT_LIVED else "two thirds"
        at = renew_at(revision.not_before, revision.not_after)
        return Planned(at, RenewalReason.DUE, f"{share} of its lifetime are over then")
    much, of = _LATEST_SHARE
    latest = revision.not_before + (revision.not_after - revision.not_before) * much / of
    because = f", because {window.explanation_url}" if window.explanation_url else ""
    told = f"the CA suggests a renewal between {_minute(window.start)} and {_minute(window.end)}{because}"
    if window.renew_at > latest:
        return Planned(latest, RenewalReason.DUE, f"a sixth of its lifetime is left then; {told}")
    if window.renew_at > window.chosen:
        told += "; the revision before was replaced just before"
    return Planned(window.renew_at, RenewalReason.SUGGESTED, told)


def first_due(rollout: Rollout) -> Revision | None:
    """Of the variants of the newest revision the one that is to be renewed first: all are renewed together."""
    newest = rollout.newest
    if newest is None:
        return None
    same = [item for item in rollout.revisions if item.announced and item.number == newest.number]
    return min([newest, *same], key=lambda item: planned(item).at)


def _minute(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%dT%H:%MZ}"


def due_at(certificate: Certificate, newest: Revision | None) -> datetime | None:
    """When renewals must look at a certificate; None where nothing is to be renewed, or the issuer works on it."""
    if newest is None or not certificate.active or certificate.unreadable is not None:
        return None
    if certificate.state is CertificateState.FAILING:
        return None if certificate.next_try is not None else certificate.state_since + _GIVEN_UP_AGAIN
    if certificate.ordered > newest.number:
        return None
    return planned(newest).at


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
    if certificate.state is CertificateState.FAILING or newest is None:
        return Renewal(due=True, reason=RenewalReason.FAILED_BEFORE)
    plan = planned(newest)
    return Renewal(due=True, reason=plan.reason, detail=plan.detail if newest.window is not None else "")


def _obstacle(
    certificate: Certificate, newest: Revision | None, approval: Approval | None, *, now: datetime, asked: bool
) -> RenewalReason | None:
    if not certificate.active or certificate.unreadable is not None:
        return RenewalReason.NOT_READABLE if certificate.active else RenewalReason.NOT_ACTIVE
    if (unapproved := _unapproved(certificate, approval, now)) is not None:
        return unapproved
    end_date = certificate.intent.end_date
    if end_date is not None and end_date <= now:
        return RenewalReason.ENDED
    if certificate.state is CertificateState.FAILING and (asked or newest is not None):
        # The revision that failed is tried again.
        return None
    if newest is None:
        return RenewalReason.NOTHING_ISSUED
    return RenewalReason.IN_PROGRESS if certificate.ordered > newest.number else None


def _unapproved(certificate: Certificate, approval: Approval | None, now: datetime) -> RenewalReason | None:
    if approval is None or approval.spec_hash != certificate.spec_hash:
        return RenewalReason.NOT_APPROVED
    if approval.ends_at is not None and approval.ends_at <= now:
        return RenewalReason.APPROVAL_ENDED
    return RenewalReason.NO_CA if approval.cas == () else None


def not_before(newest: Revision | None, approval: Approval | None) -> datetime | None:
    """When a person may order the next renewal, by the approval's bound on manual ones; None where there is none."""
    if newest is None or approval is None or approval.renewals_apart is None:
        return None
    return newest.stored_at + approval.renewals_apart


def order(
    rollout: Rollout,
    approval: Approval,
    sites: Sequence[Site],
    reason: str,
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

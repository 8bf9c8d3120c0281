"""When the next revision of a certificate is ordered, and why then or not; and the order itself."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from certcore.api import CertificateState
from certcore.events import CertificateRenewalDue, CertificateRenewalDueForCsr
from certcore.placements import PLATFORM
from certcore.policy.openings import OPEN, Calendar
from registry.domain.certificate import Approval, Certificate
from registry.domain.change import Change
from registry.domain.holding import held
from registry.domain.lifecycle import Trigger, follow
from registry.domain.orders import is_awaited, order_revision
from registry.domain.planning import Planned, RenewalReason, first_due, latest, minute, planned
from registry.domain.revision import Revision
from registry.domain.rollout import Rollout
from registry.domain.site import Site

__all__ = ["Next", "Renewal", "decide", "kept_turn", "next_renewal", "not_before", "order", "turn_told"]

_GIVEN_UP_AGAIN: Final = timedelta(hours=6)
"""How long after the issuer gave up a renewal it is ordered again: what is served must not expire by one failure, and
CAs count failures by the hour.
"""
_UNHEARD: Final = (timedelta(hours=1), timedelta(days=1))
"""So long, a 24th of the lifetime, nothing may be heard of an order before it is announced again."""
_UNHEARD_PART: Final = 24
_REASON: Final = 500
_HOLDS: Final = frozenset({RenewalReason.FROZEN, RenewalReason.OUTSIDE_WINDOWS})
_NOT_YET: Final = {RenewalReason.NOT_HEARD_OF: RenewalReason.IN_PROGRESS}


@dataclass(frozen=True)
class Renewal:
    due: bool
    reason: RenewalReason
    detail: str = ""

    @property
    def why(self) -> str:
        return f"{self.reason}: {self.detail}" if self.detail else str(self.reason)


@dataclass(frozen=True)
class Next:
    """When renewals do something about a certificate, None where nothing is to be done, and why then. `by` is when
    what is issued comes into its last sixth; None where nothing is to follow it.
    """

    at: datetime | None
    reason: RenewalReason
    detail: str = ""
    by: datetime | None = None

    @property
    def why(self) -> str:
        """As it is stored and shown."""
        return (f"{self.reason}: {self.detail}" if self.detail else str(self.reason))[:_REASON]


def next_renewal(rollout: Rollout, approval: Approval | None, calendar: Calendar, *, now: datetime) -> Next:
    certificate, newest = rollout.certificate, first_due(rollout)
    by = _needed_by(certificate, newest)
    if (reason := _never(certificate, newest, approval, now)) is not None:
        return Next(None, reason, certificate.unreadable or "", by)
    assert newest is not None, "without one, nothing is renewed"
    plan = _under_way(rollout, newest)
    if plan is None:
        told = f"revision {certificate.ordered} waits for the signing requests of its targets"
        return Next(None, RenewalReason.IN_PROGRESS, told, by)
    end_date = certificate.intent.end_date
    if end_date is not None and end_date <= max(plan.at, now):
        return Next(None, RenewalReason.ENDED, f"it is to end at {minute(end_date)}")
    if plan.reason is not RenewalReason.NOT_HEARD_OF:
        # What is ordered stands in the issuer's list, in a freeze too.
        plan = held(plan, newest, calendar, now=now)
    return Next(plan.at, plan.reason, plan.detail, by)


def _never(
    certificate: Certificate, newest: Revision | None, approval: Approval | None, now: datetime
) -> RenewalReason | None:
    """Why nothing is renewed until somebody changes that."""
    if not certificate.active:
        return RenewalReason.NOT_ACTIVE
    if certificate.unreadable is not None:
        return RenewalReason.NOT_READABLE
    unapproved = _unapproved(certificate, approval, now)
    return unapproved or (RenewalReason.NOTHING_ISSUED if newest is None else None)


def _needed_by(certificate: Certificate, newest: Revision | None) -> datetime | None:
    end_date = certificate.intent.end_date
    if newest is None or not certificate.active or (end_date is not None and end_date <= newest.not_after):
        return None
    return latest(newest)


def _under_way(rollout: Rollout, newest: Revision) -> Planned | None:
    """The plan of the newest revision; of one that is ordered since, when it is ordered again."""
    certificate = rollout.certificate
    failing = certificate.state is CertificateState.FAILING
    if not failing and certificate.ordered <= newest.number:
        return planned(newest)
    number = certificate.ordered
    if failing and certificate.next_try is None:
        at = certificate.state_since + _GIVEN_UP_AGAIN
        return Planned(at, RenewalReason.FAILED_BEFORE, f"the issuer gave revision {number} up; it is ordered again")
    if not is_awaited(rollout, number, PLATFORM) or newest.variant != PLATFORM:
        return None
    heard = max(filter(None, (certificate.ordered_at, certificate.next_try, certificate.state_since)))
    least, most = _UNHEARD
    patience = min(max((newest.not_after - newest.not_before) / _UNHEARD_PART, least), most)
    told = f"if nothing is heard of revision {number} until then, it is announced again"
    return Planned(heard + patience, RenewalReason.NOT_HEARD_OF, told)


def turn_told(detail: str) -> str:
    """Why a certificate waits for its turn, as it is stored and shown."""
    return f"{RenewalReason.TOO_MANY}: {detail}"


def kept_turn(certificate: Certificate, found: Next, *, now: datetime) -> tuple[datetime | None, str]:
    """When and why, as it is stored: what is due and waits for its turn keeps that."""
    turn = certificate.due_at
    waits = certificate.renewal_reason.startswith(f"{RenewalReason.TOO_MANY}:")
    if waits and turn is not None and turn > now and found.at is not None and found.at <= now:
        return turn, certificate.renewal_reason
    return found.at, found.why


def decide(
    rollout: Rollout, approval: Approval | None, calendar: Calendar = OPEN, *, now: datetime, asked: bool
) -> Renewal:
    """Whether the next revision is ordered now; `asked`: a person requested it before it is due."""
    certificate = rollout.certificate
    reason = _obstacle(certificate, first_due(rollout), approval, now=now, asked=asked)
    if reason is not None:
        return Renewal(due=False, reason=reason)
    if asked:
        return Renewal(due=True, reason=RenewalReason.ASKED)
    found = next_renewal(rollout, approval, calendar, now=now)
    if found.at is None:
        return Renewal(due=False, reason=found.reason, detail=found.detail)
    if now < found.at:
        reason = found.reason if found.reason in _HOLDS else _NOT_YET.get(found.reason, RenewalReason.NOT_DUE)
        return Renewal(due=False, reason=reason, detail=found.detail if found.reason in _HOLDS else "")
    told = found.reason in {RenewalReason.SUGGESTED, RenewalReason.URGENT}
    return Renewal(due=True, reason=found.reason, detail=found.detail if told else "")


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
    # By the calendar, what nothing is heard of is announced again.
    return RenewalReason.IN_PROGRESS if asked and certificate.ordered > newest.number else None


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
    """The next revision, or once more the one that is ordered, under its number; `traceparent` names its trace."""
    certificate, newest = rollout.certificate, rollout.newest
    failing = certificate.state is CertificateState.FAILING
    again = failing or (newest is not None and certificate.ordered > newest.number)
    number = certificate.ordered if again else certificate.ordered + 1
    why = f"revision {number} ordered: {reason}"
    certificate = replace(certificate, ordered=number, ordered_at=now, traceparent=traceparent)
    if reason != RenewalReason.NOT_HEARD_OF:
        certificate = certificate.moved(follow(certificate.state, Trigger.RENEWAL_ORDERED), why, now)
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

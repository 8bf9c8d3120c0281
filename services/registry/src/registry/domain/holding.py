"""What windows and freezes of the policy make of a planned renewal: it waits for the next opening, unless its last
sixth begins before.
"""

from dataclasses import replace
from datetime import datetime

from certcore.policy.document import Policy
from certcore.policy.openings import OPEN, Calendar, calendar_of
from certcore.policy.windows import Freeze, Renewed
from registry.domain.planning import Planned, RenewalReason, latest, minute
from registry.domain.revision import Revision
from registry.domain.rollout import Rollout

__all__ = ["calendar_for", "frozen", "held"]


def calendar_for(policy: Policy | None, rollout: Rollout) -> Calendar:
    if policy is None or not (policy.windows or policy.freeze):
        return OPEN
    certificate = rollout.certificate
    return calendar_of(
        policy,
        Renewed(
            team=certificate.owner,
            exposure=str(certificate.intent.exposure),
            dns_names=certificate.intent.dns_names,
            sites=frozenset(placement.place for placement in rollout.placements),
            target_kinds=frozenset(placement.kind for placement in rollout.placements),
            labels=certificate.intent.labels,
        ),
    )


def held(plan: Planned, revision: Revision, calendar: Calendar, *, now: datetime) -> Planned:
    """The plan as the calendar lets it be. What is due already and open now keeps the instant since when it is."""
    first = _opened(plan, revision, calendar)
    if first.at > now:
        return first
    present = _opened(replace(plan, at=now), revision, calendar)
    if present.at > now:
        return present
    # Open by now: what was in the way is over.
    return replace(first, reason=present.reason, detail=present.detail)


def frozen(revision: Revision, calendar: Calendar, *, now: datetime) -> Freeze | None:
    """The freeze in which a person's renewal has to wait."""
    freeze = calendar.freeze_at(now)
    if freeze is not None and now >= _deadline(revision):
        return calendar.hard.freeze_at(now)
    return freeze


def _opened(plan: Planned, revision: Revision, calendar: Calendar) -> Planned:
    opening = calendar.opening(plan.at)
    if opening.at == plan.at:
        return plan
    deadline = max(plan.at, _deadline(revision))
    if opening.at <= deadline:
        reason = RenewalReason.FROZEN if opening.frozen else RenewalReason.OUTSIDE_WINDOWS
        return Planned(opening.at, reason, opening.held_by)
    hard = calendar.hard.opening(deadline)
    if hard.at > deadline:
        told = f"{hard.held_by}, and what is issued ends at {minute(revision.not_after)}"
        return Planned(hard.at, RenewalReason.FROZEN, told)
    ends = "the CA's window" if deadline < latest(revision) else "all but a sixth of its lifetime"
    told = f"{ends} is over then; else it would wait: {opening.held_by}"
    suggested = f"; {plan.detail}" if plan.reason is RenewalReason.SUGGESTED else ""
    return Planned(deadline, RenewalReason.URGENT, told + suggested)


def _deadline(revision: Revision) -> datetime:
    """Until when it may be held."""
    end = latest(revision)
    return end if revision.window is None else min(end, revision.window.end)

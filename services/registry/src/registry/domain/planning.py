"""When a revision is to be renewed: as its CA suggests, or by its share of lifetime, so that 6-day and 200-day ones
fit one rule; and spread, so that those of one birthday are no herd.
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from registry.domain.revision import Revision
from registry.domain.rollout import Rollout

__all__ = ["Planned", "RenewalReason", "first_due", "latest", "minute", "planned", "renew_at", "spread"]

_SHORT_LIVED: Final = timedelta(days=10)
_LATEST_SHARE: Final = (5, 6)
"""A CA, a window or a freeze may put a renewal off until this share of the lifetime is over, and no longer: the last
sixth (15 days of 90, a day of 6) is for what goes wrong with the renewal itself.
"""
_WIDEST: Final = timedelta(days=1)
_WIDTH: Final = 12
"""Of what lives shorter than 12 days, this part of the lifetime is the spread: half of what is left, at most."""


class RenewalReason(StrEnum):
    """Why a certificate is renewed now, or is not: metric label, and what people are shown."""

    DUE = "due"
    SUGGESTED = "suggested"
    URGENT = "urgent"
    FAILED_BEFORE = "failed_before"
    NOT_HEARD_OF = "not_heard_of"
    ASKED = "asked"
    RECIPIENT_KEY = "recipient_has_another_key"
    NOT_DUE = "not_due"
    OUTSIDE_WINDOWS = "outside_windows"
    FROZEN = "frozen"
    TOO_MANY = "too_many_at_once"
    NOTHING_ISSUED = "nothing_issued"
    IN_PROGRESS = "in_progress"
    ENDED = "ended"
    NOT_APPROVED = "not_approved"
    APPROVAL_ENDED = "approval_ended"
    NO_CA = "policy_allows_no_ca"
    NOT_ACTIVE = "not_active"
    NOT_READABLE = "not_readable"


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


def spread(revision: Revision) -> timedelta:
    """How long after its share of lifetime it is renewed: within a day, by what tells it from all others."""
    widest = min(_WIDEST, (revision.not_after - revision.not_before) / _WIDTH)
    digest = hashlib.sha256(f"{revision.certificate_id}/{revision.number}".encode()).digest()
    return widest * (int.from_bytes(digest[:4]) / 2**32)


def latest(revision: Revision) -> datetime:
    """When its last sixth begins."""
    much, of = _LATEST_SHARE
    return revision.not_before + (revision.not_after - revision.not_before) * much / of


def planned(revision: Revision) -> Planned:
    """By the instant in its CA's window, where the CA told one: earlier than the share of its lifetime would have it,
    or somewhat later.
    """
    window = revision.window
    if window is None:
        share = "half" if revision.not_after - revision.not_before < _SHORT_LIVED else "two thirds"
        later = spread(revision)
        at = renew_at(revision.not_before, revision.not_after) + later
        told = f"{share} of its lifetime are over, and {_hours(later)} more, so that not all come at once"
        return Planned(at, RenewalReason.DUE, told)
    because = f", because {window.explanation_url}" if window.explanation_url else ""
    told = f"the CA suggests a renewal between {minute(window.start)} and {minute(window.end)}{because}"
    end = latest(revision)
    if window.renew_at > end:
        return Planned(end, RenewalReason.DUE, f"a sixth of its lifetime is left then; {told}")
    if window.renew_at > window.chosen:
        told += "; the revision before was replaced just before"
    return Planned(window.renew_at, RenewalReason.SUGGESTED, told)


def first_due(rollout: Rollout) -> Revision | None:
    """Of the variants of the newest revision the one that is to be renewed first: all are renewed together."""
    newest = rollout.newest
    if newest is None:
        return None
    same = [item for item in rollout.revisions if item.announced and item.number == newest.number]
    return min(same, key=lambda item: planned(item).at) if len(same) > 1 else newest


def minute(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%dT%H:%MZ}"


def _hours(span: timedelta) -> str:
    minutes = span // timedelta(minutes=1)
    return f"{minutes // 60}h{minutes % 60:02}m"

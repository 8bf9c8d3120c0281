"""What a CA's suggestion to renew a revision (RFC 9773), as the issuer reports it, changes."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from certcore.errors import TransientError
from certcore.events import RevisionRenewalWindow
from certcore.links import page_link
from registry.domain.change import Change
from registry.domain.revision import Revision, SuggestedWindow
from registry.domain.rollout import Rollout

__all__ = ["suggest"]

_IN_A_ROW: Final = timedelta(days=2)
_AGAIN_AFTER: Final = timedelta(days=1)
"""A revision that came within two days of the one before is renewed by a window after a day at the earliest: a CA
that tells a window in the past for everything would have each certificate issued without end.
"""


def suggest(rollout: Rollout, report: RevisionRenewalWindow) -> Change:
    """The revision keeps what its CA suggests; a later decision reads it there.

    Raises:
        TransientError: the revision is not stored yet.
    """
    newest = max((item.number for item in rollout.revisions if item.variant == report.variant), default=0)
    if report.revision < newest:
        return Change(f"revision {report.revision} is not the newest one")
    revision = rollout.revision(report.revision, report.variant)
    if revision is None:
        raise TransientError(f"a renewal window is reported of revision {report.revision}, which is not stored yet")
    known = revision.window
    if known is not None and known.answered_at >= report.answered_at:
        return Change("a later answer of the CA is known")
    window = SuggestedWindow(
        start=report.start,
        end=report.end,
        chosen=report.chosen,
        answered_at=report.answered_at,
        explanation_url=page_link(report.explanation_url),
        held_until=_held_until(rollout, revision),
    )
    return Change("the CA suggests when to renew", revision=replace(revision, window=window))


def _held_until(rollout: Rollout, revision: Revision) -> datetime | None:
    before = (
        item.stored_at
        for item in rollout.revisions
        if item.variant == revision.variant and item.number < revision.number
    )
    latest = max(before, default=None)
    if latest is None or revision.stored_at - latest >= _IN_A_ROW:
        return None
    return revision.stored_at + _AGAIN_AFTER

"""What follows when a revision is issued, whether the report comes with the bundle or by itself."""

from datetime import datetime

from certcore.events import RevisionIssued
from registry.adapters.store import Transaction
from registry.domain.issuance import issue
from registry.domain.rollout import Rollout
from registry.handlers.changes import Changes

__all__ = ["save_issued"]


def save_issued(
    transaction: Transaction, changes: Changes, rollout: Rollout, report: RevisionIssued, *, now: datetime
) -> None:
    """Order the deliveries of a revision that is stored; nothing changes where that was done before.

    Raises:
        TransientError, PermanentError: as `issue`.
    """
    pairs = {(report.revision, report.variant), *_wanted(rollout)}
    keys = [(rollout.certificate.id, number, variant) for number, variant in pairs]
    sealed = transaction.revisions.sealed_keys(keys).get(rollout.certificate.id, {})
    carried = transaction.services.carried()
    changes.save(transaction, rollout, issue(rollout, report, sealed, carried, now=now))


def _wanted(rollout: Rollout) -> set[tuple[int, str]]:
    return {(revision.number, revision.variant) for revision in rollout.variants}

"""What an issue order, or the loss of a bundle, means for a job that is there already."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from certcore.events import IssueOrder
from issuer.domain.admission import objection_to
from issuer.domain.failure import FailureReason, JobFailedError
from issuer.domain.job import Job, JobState
from issuer.domain.retry import decide_retry
from issuer.domain.revoked import Revocation

__all__ = ["Reopening", "ReopeningReason", "hand_over_again", "reopen", "reopen_listed"]

_HEARD_WITHIN: Final = timedelta(seconds=15)
"""A revision is in the registry's list until its report was heard: in that time the list says nothing new."""
_GAVE_UP_FOR: Final = timedelta(hours=1)
"""The list is read each minute: what was given up isn't reported that often."""

_FOR_A_PERSON: Final = frozenset({FailureReason.ORDER_LOST, FailureReason.ORDER_STALLED})


class ReopeningReason(StrEnum):
    TOLD_AGAIN = "told_again"
    TRIED_NOW = "tried_now"
    REFUSED = "refused"
    UNDER_WAY = "under_way"
    GAVE_UP = "gave_up"
    HEARD_SOON = "heard_soon"
    HANDED_OVER_AGAIN = "handed_over_again"
    ISSUED_ANEW = "issued_anew"
    EXPIRED = "expired"
    REVOKED = "revoked"


@dataclass(frozen=True)
class Reopening:
    """`job` is the very job where nothing follows."""

    job: Job
    reason: ReopeningReason


def reopen(job: Job, repeated: IssueOrder, *, now: datetime) -> Reopening:
    """An issue order that is announced again: a finished job is reported again; one that waits or gave up is tried
    now; one under way goes on.

    As long as no key was made, the repeated issue order replaces the first: what was wrong with that may be mended,
    and another CA may be allowed. An event may be old: where the leaf expired, only the registry's list, which is of
    now, has it issued anew.
    """
    if job.revocation is not None:
        return Reopening(job, ReopeningReason.REVOKED)
    if job.state is JobState.STORED:
        if job.chain_pem is None:
            return Reopening(job, ReopeningReason.EXPIRED)
        return Reopening(replace(job, report_at=now), ReopeningReason.TOLD_AGAIN)
    if not job.given_up and (job.wait_until is None or job.wait_until <= now):
        return Reopening(job, ReopeningReason.UNDER_WAY)
    return _try_now(job, repeated, now)


def reopen_listed(job: Job, listed: IssueOrder, *, now: datetime, first: bool) -> Reopening:
    """An issue order in the registry's list of what is ordered and not issued.

    The registry lacks what was stored: it is handed over and reported again, and issued anew only where the leaf
    is no longer valid. What isn't finished goes on as it was. What was given up is tried where the issue order is
    another one, at the `first` look after a start (the settings may be others), and each hour. Where orders were
    lost, the latter two aren't enough: another order may be a further certificate. A target that lost its
    key offers another CSR: what was done by the one before is of no use. What was revoked isn't handed over, and
    nothing is issued in its place: the registry is told, and a renewal is another revision.
    """
    if listed.csr_pem is not None and listed.csr_pem != job.issue_order.csr_pem:
        return Reopening(_anew(job, listed), ReopeningReason.ISSUED_ANEW)
    if job.state is JobState.STORED or job.revocation is not None:
        return _hand_over_listed(job, listed, now)
    if not job.given_up:
        return Reopening(job, ReopeningReason.UNDER_WAY)
    rested = job.problem_at is None or now - job.problem_at >= _GAVE_UP_FOR
    if listed != job.issue_order or (job.reason not in _FOR_A_PERSON and (first or rested)):
        return _try_now(job, listed, now)
    return Reopening(job, ReopeningReason.GAVE_UP)


def hand_over_again(job: Job, *, now: datetime) -> Reopening:
    """The registry lost the bundle of this job. Nothing is ordered for it."""
    if job.revocation is not None:
        return Reopening(job, ReopeningReason.REVOKED)
    if job.state is JobState.ISSUED and job.wait_until is not None and job.wait_until > now:
        return Reopening(replace(job, wait_until=None), ReopeningReason.TRIED_NOW)
    if job.state is not JobState.STORED:
        return Reopening(job, ReopeningReason.UNDER_WAY)
    if not job.has_valid_bundle(now=now):
        return Reopening(job, ReopeningReason.EXPIRED)
    again = replace(job, state=JobState.ISSUED, wait_until=None, report_at=None)
    return Reopening(again, ReopeningReason.HANDED_OVER_AGAIN)


def _hand_over_listed(job: Job, listed: IssueOrder, now: datetime) -> Reopening:
    if not job.has_valid_bundle(now=now):
        return Reopening(_anew(job, listed), ReopeningReason.ISSUED_ANEW)
    if job.stored_at is not None and now - job.stored_at < _HEARD_WITHIN:
        return Reopening(job, ReopeningReason.HEARD_SOON)
    if job.revocation is not None:
        return Reopening(_refused_as_revoked(job, job.revocation, now), ReopeningReason.REVOKED)
    return hand_over_again(job, now=now)


def _refused_as_revoked(job: Job, revocation: Revocation, now: datetime) -> Job:
    """The registry lacks what it can't get: it is told why, once."""
    if job.state is not JobState.STORED:
        return job
    failure = JobFailedError(FailureReason.REVOKED, revocation.told)
    return decide_retry(replace(job, state=JobState.ISSUED), failure, now=now).job


def _try_now(job: Job, repeated: IssueOrder, now: datetime) -> Reopening:
    if job.state is JobState.ACCEPTED:
        job = replace(job, issue_order=repeated, ca=None)
        objection = objection_to(repeated)
        if objection is not None:
            return Reopening(decide_retry(job, objection, now=now).job, ReopeningReason.REFUSED)
    again = replace(job, wait_until=None, given_up=False, reason=None, problem=None, problem_at=None)
    return Reopening(again, ReopeningReason.TRIED_NOW)


def _anew(job: Job, listed: IssueOrder) -> Job:
    """As if it were accepted now; only its version goes on."""
    return Job(job.id, listed, job.accepted_at, version=job.version)

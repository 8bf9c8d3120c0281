"""What a repeated issue order means for a job that is there already."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from certcore.events import IssueOrder
from issuer.domain.admission import objection_to
from issuer.domain.job import Job, JobState
from issuer.domain.retry import decide_retry

__all__ = ["Reopening", "ReopeningReason", "reopen"]


class ReopeningReason(StrEnum):
    TOLD_AGAIN = "told_again"
    TRIED_NOW = "tried_now"
    REFUSED = "refused"
    UNDER_WAY = "under_way"


@dataclass(frozen=True)
class Reopening:
    job: Job
    reason: ReopeningReason


def reopen(job: Job, repeated: IssueOrder, *, now: datetime) -> Reopening:
    """A finished job is reported again; one that waits or gave up is tried now; one under way goes on.

    As long as no key was made, the repeated issue order replaces the first: what was wrong with that may be mended,
    and another CA may be allowed.
    """
    if job.state is JobState.STORED:
        return Reopening(replace(job, report_at=now), ReopeningReason.TOLD_AGAIN)
    if not job.given_up and (job.wait_until is None or job.wait_until <= now):
        return Reopening(job, ReopeningReason.UNDER_WAY)
    if job.state is JobState.ACCEPTED:
        job = replace(job, issue_order=repeated, ca=None)
        objection = objection_to(repeated)
        if objection is not None:
            return Reopening(decide_retry(job, objection, now=now).job, ReopeningReason.REFUSED)
    return Reopening(replace(job, wait_until=None, given_up=False), ReopeningReason.TRIED_NOW)

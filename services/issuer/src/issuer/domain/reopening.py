"""What a repeated order means for a job that is there already."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from issuer.domain.job import Job, JobState

__all__ = ["Reopening", "ReopeningReason", "reopen"]


class ReopeningReason(StrEnum):
    TOLD_AGAIN = "told_again"
    TRIED_NOW = "tried_now"
    UNDER_WAY = "under_way"


@dataclass(frozen=True)
class Reopening:
    job: Job
    reason: ReopeningReason


def reopen(job: Job, *, now: datetime) -> Reopening:
    """A finished job is reported again; one that waits or gave up is tried now; one under way goes on."""
    if job.state is JobState.STORED:
        return Reopening(replace(job, report_at=now), ReopeningReason.TOLD_AGAIN)
    if job.given_up or (job.wait_until is not None and job.wait_until > now):
        return Reopening(replace(job, wait_until=None, given_up=False), ReopeningReason.TRIED_NOW)
    return Reopening(job, ReopeningReason.UNDER_WAY)

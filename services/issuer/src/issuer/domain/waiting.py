"""A job that waits for something that is no failure: nothing is counted, and why it waits is told."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from issuer.domain.failure import WAITS, FailureReason, JobWaitsError
from issuer.domain.job import Job

__all__ = ["FAILS_AFTER", "TOLD_AS_FAILURE", "decide_wait", "without_wait"]

FAILS_AFTER: Final = timedelta(minutes=10)
TOLD_AS_FAILURE: Final = frozenset({FailureReason.ORDER_SLOW, FailureReason.NOT_PROPAGATED})
"""After that time somebody may have to act. The others come from the CA, and hold back many jobs."""


def decide_wait(job: Job, waits: JobWaitsError, *, now: datetime) -> Job:
    """The job as it is to be stored. `problem_at` is since when it waits for this reason; people are told when that
    is long ago.
    """
    goes_on = job.reason is waits.reason and job.problem_at is not None
    since = job.problem_at if goes_on and job.problem_at else now
    before = job if goes_on else without_wait(job)
    report_at = before.report_at
    if not goes_on and report_at is None and waits.reason in TOLD_AS_FAILURE:
        report_at = since + FAILS_AFTER
    return replace(
        before,
        wait_until=now + waits.wait,
        reason=waits.reason,
        problem=f"{waits.reason}: {waits.detail}",
        problem_at=since,
        report_at=report_at,
    )


def without_wait(job: Job) -> Job:
    """A job that waits no more: why it waited is over, and nobody needs to be told."""
    if job.reason not in WAITS or job.problem_at is None:
        return job
    unsaid = job.report_at == job.problem_at + FAILS_AFTER
    return replace(job, reason=None, problem=None, problem_at=None, report_at=None if unsaid else job.report_at)

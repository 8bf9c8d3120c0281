"""What becomes of what was taken for a job's certificate, when a step of the job ends it at its CA."""

from enum import StrEnum

from issuer.domain.job import Job, JobState

__all__ = ["Settling", "settling"]


class Settling(StrEnum):
    KEPT = "kept"
    """It may come of the job yet."""
    SIGNED = "signed"
    """The CA counts it."""
    GIVEN_BACK = "given_back"
    """It never will."""


def settling(before: Job, after: Job) -> Settling:
    """A job ends at its CA when it is issued or given up, goes to another CA, or is begun anew for another issue
    order. Where a finalize may have been sent, and nobody knows what came of it, the CA may count a certificate.
    """
    if before.state is JobState.ACCEPTED:
        return Settling.KEPT
    if before.state is JobState.FINALIZING and after.state is JobState.ISSUED:
        return Settling.SIGNED
    if after.ca != before.ca or after.state is JobState.ACCEPTED:
        return Settling.SIGNED if _may_be_signed(before) else Settling.GIVEN_BACK
    if after.given_up and not before.given_up and not _may_be_signed(after):
        return Settling.GIVEN_BACK
    return Settling.KEPT


def _may_be_signed(job: Job) -> bool:
    return job.lost > 0 or (job.ca_order is not None and job.ca_order.finalize_sent_at is not None)

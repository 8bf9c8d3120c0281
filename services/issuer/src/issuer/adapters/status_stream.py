"""What the registry is told of a job. Repeated reports carry the same id, so that a stream keeps one of them."""

from certcore.events import Event, RevisionFailed, RevisionIssued, RevisionStarted
from certcore.inspection import read_chain
from certkit.reports import StatusReports
from issuer.domain.issued import ari_id
from issuer.domain.job import Job, JobId, JobState

__all__ = ["StatusStream"]


class StatusStream:
    """Its calls raise TransientError where no stream acknowledged the report."""

    def __init__(self, reports: StatusReports) -> None:
        self._reports = reports

    async def started(self, job: JobId, *, ca: str) -> None:
        event = RevisionStarted(certificate_id=job.certificate_id, revision=job.revision, ca=ca)
        await self._publish(event, job, f"started-{ca}")

    async def stands(self, job: Job) -> None:
        """Tell how the job stands: issued, or failed and when it is tried again."""
        if job.state is JobState.STORED:
            await self._publish(_issued(job), job.id, "issued")
        else:
            # The time of the failure tells one of a revision from another.
            failed_at = job.problem_at or job.accepted_at
            await self._publish(_failed(job), job.id, f"failed-{failed_at.timestamp():.3f}")

    async def _publish(self, event: Event, job: JobId, what: str) -> None:
        event_id = f"{what}-{job.certificate_id}-{job.revision}"
        await self._reports.publish(event, about=job.certificate_id, event_id=event_id)


def _issued(job: Job) -> RevisionIssued:
    leaf = read_chain((job.chain_pem or "").encode())[0]
    return RevisionIssued(
        certificate_id=job.id.certificate_id,
        revision=job.id.revision,
        fingerprint_sha256=leaf.fingerprint_sha256,
        ca=job.ca or "",
        validation_method=job.validation_method,
        ari_id=ari_id(leaf),
    )


def _failed(job: Job) -> RevisionFailed:
    return RevisionFailed(
        certificate_id=job.id.certificate_id,
        revision=job.id.revision,
        reason=job.problem or "",
        next_try=job.wait_until,
    )

"""What the registry is told of jobs. Repeated reports of a job carry the same id, so that a
stream keeps one of them.
"""

from datetime import datetime

from certcore.errors import TransientError
from certcore.events import Event, RevisionFailed, RevisionIssued, RevisionRenewalWindow, RevisionStarted
from certcore.inspection import read_chain
from certkit.reports import StatusReports
from issuer.domain.failure import FailureReason, reported_as
from issuer.domain.issued import ari_id
from issuer.domain.job import Job, JobState
from issuer.domain.renewal_window import Watched
from issuer.domain.wait_notice import Wait, report_of

__all__ = ["StatusStream"]


class StatusStream:
    """Its calls raise TransientError where no stream acknowledged the report. That takes long: then only heartbeats
    are tried until one comes through, and work goes on.
    """

    def __init__(self, reports: StatusReports) -> None:
        self._reports = reports
        self._away = False

    async def stands(self, job: Job) -> None:
        """Tell how the job stands: started, issued, or failed and when it is tried again."""
        if job.state is JobState.STORED:
            # A registry that got the bundle again has to hear of it again.
            event_id = f"issued/{_number(job.stored_at or job.accepted_at)}/{job.id}"
            await self._report(_issued(job), about=job.id.certificate_id, event_id=event_id)
        elif job.problem is None:
            await self._report(_started(job), about=job.id.certificate_id, event_id=f"started/{job.ca}/{job.id}")
        else:
            # The time of the failure tells one of a revision from another.
            failed_at = job.problem_at or job.accepted_at
            event_id = f"failed/{_number(failed_at)}/{job.id}"
            await self._report(_failed(job), about=job.id.certificate_id, event_id=event_id)

    async def suggested(self, watched: Watched, *, epoch: int) -> None:
        """Tell the window of a certificate; a registry in another epoch may have forgotten it."""
        window = watched.window
        if window is None:
            return
        event = RevisionRenewalWindow(
            certificate_id=watched.job.certificate_id,
            revision=watched.job.revision,
            variant=watched.job.variant,
            start=window.start,
            end=window.end,
            chosen=window.chosen,
            answered_at=window.answered_at,
            explanation_url=window.explanation_url,
        )
        event_id = f"window/{epoch}/{_number(window.answered_at)}/{watched.job}"
        await self._report(event, about=watched.job.certificate_id, event_id=event_id)

    async def waits(self, wait: Wait) -> None:
        """Tell what a job waits for."""
        until = _number(wait.until) if wait.until is not None else ""
        event_id = f"waits/{wait.reason}/{_number(wait.since)}/{until}/{wait.job}"
        await self._report(report_of(wait), about=wait.job.certificate_id, event_id=event_id)

    async def _report(self, event: Event, *, about: str, event_id: str) -> None:
        if self._away:
            raise TransientError("the bus was away just now")
        await self.publish(event, about=about, event_id=event_id)

    async def publish(self, event: Event, *, about: str, event_id: str | None = None) -> None:
        """Publish a report whether or not the last one came through: heartbeats do."""
        try:
            await self._reports.publish(event, about=about, event_id=event_id)
        except TransientError:
            self._away = True
            raise
        self._away = False


def _number(instant: datetime) -> str:
    return f"{instant.timestamp():.3f}"


def _started(job: Job) -> RevisionStarted:
    return RevisionStarted(
        certificate_id=job.id.certificate_id, revision=job.id.revision, variant=job.id.variant, ca=job.ca or ""
    )


def _issued(job: Job) -> RevisionIssued:
    leaf = read_chain((job.chain_pem or "").encode())[0]
    return RevisionIssued(
        certificate_id=job.id.certificate_id,
        revision=job.id.revision,
        variant=job.id.variant,
        fingerprint_sha256=leaf.fingerprint_sha256,
        ca=job.ca or "",
        validation_method=job.validation_method,
        ari_id=ari_id(leaf, ordered=job.ca_order is not None),
    )


def _failed(job: Job) -> RevisionFailed:
    reported = reported_as(job.reason or FailureReason.UNFORESEEN, given_up=job.given_up)
    return RevisionFailed(
        certificate_id=job.id.certificate_id,
        revision=job.id.revision,
        variant=job.id.variant,
        code=reported.code,
        must_act=reported.must_act,
        reason=job.problem or "",
        next_try=job.wait_until,
    )

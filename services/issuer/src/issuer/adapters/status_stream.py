"""What the registry is told of a job. Repeated reports carry the same id, so that a stream keeps one of them."""

from certcore import subjects
from certcore.bus import EventPublisher
from certcore.events import Event, RevisionFailed, RevisionIssued, RevisionStarted
from issuer.domain.job import JobId

__all__ = ["StatusStream"]


class StatusStream:
    """Its calls raise TransientError where no stream acknowledged the report."""

    def __init__(self, *, publisher: EventPublisher) -> None:
        self._publisher = publisher

    async def started(self, event: RevisionStarted) -> None:
        await self._publish(event, JobId(event.certificate_id, event.revision), f"started-{event.ca}")

    async def issued(self, event: RevisionIssued) -> None:
        await self._publish(event, JobId(event.certificate_id, event.revision), "issued")

    async def failed(self, event: RevisionFailed, *, failure: str) -> None:
        """`failure` tells one failure of a revision from another."""
        await self._publish(event, JobId(event.certificate_id, event.revision), f"failed-{failure}")

    async def _publish(self, event: Event, job: JobId, what: str) -> None:
        await self._publisher.publish(
            event,
            subject=subjects.status(subjects.HUB, "issuer", event.type, job.certificate_id),
            stream=subjects.STATUS,
            about=job.certificate_id,
            event_id=f"{what}-{job.certificate_id}-{job.revision}",
        )

from prometheus_client import CollectorRegistry, Counter

from issuer.domain.job import Job, Step
from issuer.domain.retry import FailureReason

__all__ = ["Metrics"]


class Metrics:
    def __init__(self, *, registry: CollectorRegistry) -> None:
        self._issued = Counter(
            "certbus_issuer_certificates_issued", "Revisions handed over", ["ca"], registry=registry
        )
        self._failures = Counter(
            "certbus_issuer_failures", "Runs of jobs that failed", ["ca", "reason"], registry=registry
        )
        self._abandoned = Counter(
            "certbus_issuer_orders_abandoned", "Orders given up", ["ca", "reason"], registry=registry
        )

    def stepped(self, job: Job, step: Step) -> None:
        if step is Step.STORE_BUNDLE:
            self._issued.labels(job.ca or "").inc()

    def failed(self, job: Job, reason: FailureReason, *, abandons: bool) -> None:
        self._failures.labels(job.ca or "", reason).inc()
        if abandons:
            self._abandoned.labels(job.ca or "", reason).inc()

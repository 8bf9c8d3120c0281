from typing import Final

from prometheus_client import CollectorRegistry

from certkit import metric_names
from issuer.domain.failure import FailureReason
from issuer.domain.job import Job

__all__ = ["Metrics"]

_CHALLENGE_S: Final = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)


class Metrics:
    def __init__(self, *, registry: CollectorRegistry) -> None:
        self._issued = metric_names.counter(metric_names.ISSUER_ISSUED, registry)
        self._failures = metric_names.counter(metric_names.ISSUER_FAILURES, registry)
        self._abandoned = metric_names.counter(metric_names.ISSUER_ABANDONED, registry)
        self._waits = metric_names.counter(metric_names.ISSUER_WAITS, registry)
        self._challenges = metric_names.histogram(metric_names.ISSUER_CHALLENGES, registry, _CHALLENGE_S)
        self._away = metric_names.gauge(metric_names.ISSUER_CA_AWAY, registry)

    def handed_over(self, job: Job) -> None:
        """For the first time."""
        self._issued.labels(job.ca or "").inc()

    def failed(self, job: Job, reason: FailureReason, *, abandons: bool) -> None:
        self._failures.labels(job.ca or "", reason).inc()
        if abandons:
            self._abandoned.labels(job.ca or "", reason).inc()

    def waits(self, job: Job, reason: FailureReason) -> None:
        self._waits.labels(job.ca or "", reason).inc()

    def challenged(self, ca: str, solver_kind: str, outcome: str, seconds: float) -> None:
        self._challenges.labels(ca, solver_kind, outcome).observe(seconds)

    def ca_away(self, ca: str, *, away: bool) -> None:
        self._away.labels(ca).set(away)

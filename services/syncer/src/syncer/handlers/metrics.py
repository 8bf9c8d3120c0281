from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge

from syncer.domain.orders import Standing
from syncer.domain.placement import PlaceKind
from syncer.domain.target import Finding

__all__ = ["Metrics"]


class Metrics:
    """The labels are the reasons of the decisions, nothing with an unbounded number of values."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._orders = Counter("syncer_orders", "Orders that came in.", ["standing"], registry=registry)
        self._writes = Counter("syncer_writes", "Copies written.", ["place_kind", "reason"], registry=registry)
        self._failures = Counter(
            "syncer_failures", "Copies that could not be made right.", ["place_kind", "reason"], registry=registry
        )
        self._reconciled = Gauge(
            "syncer_reconciled_timestamp_seconds", "When all deployments were last read.", registry=registry
        )

    def ordered(self, standing: Standing) -> None:
        self._orders.labels(standing).inc()

    def settled(self, kind: PlaceKind, finding: Finding) -> None:
        for reason in finding.writes:
            self._writes.labels(kind, reason).inc()
        for failure in finding.failures:
            self._failures.labels(kind, failure.reason).inc()

    def reconciled(self, at: datetime) -> None:
        self._reconciled.set(at.timestamp())

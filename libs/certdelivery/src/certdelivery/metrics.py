from datetime import datetime

from prometheus_client import CollectorRegistry

from certdelivery.model import Destination, Finding
from certdelivery.orders import Standing
from certkit.metric_names import (
    DELIVERY_FAILURES,
    DELIVERY_WRITES,
    DESTINATION_OUT,
    ORDERS_READ,
    ORDERS_TAKEN,
    UNREADABLE_ITEMS,
    counter,
    gauge,
)

__all__ = ["Metrics"]


class Metrics:
    """Labels are the reasons of decisions and what is configured, so their number is bounded."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._orders = counter(ORDERS_TAKEN, registry)
        self._unreadable = counter(UNREADABLE_ITEMS, registry)
        self._writes = counter(DELIVERY_WRITES, registry)
        self._failures = counter(DELIVERY_FAILURES, registry)
        self._read = gauge(ORDERS_READ, registry)
        self._out = gauge(DESTINATION_OUT, registry)

    def ordered(self, standing: Standing) -> None:
        self._orders.labels(standing).inc()

    def refused(self, source: str) -> None:
        self._unreadable.labels(source).inc()

    def settled(self, kind: str, finding: Finding) -> None:
        for reason in finding.writes:
            self._writes.labels(kind, reason).inc()
        for failure in finding.failures:
            self._failures.labels(kind, failure.reason).inc()

    def out_of_reach(self, destination: Destination, out: bool) -> None:  # noqa: FBT001 # a value, no switch
        self._out.labels(destination.kind, destination.name).set(out)

    def read(self, at: datetime) -> None:
        self._read.set(at.timestamp())

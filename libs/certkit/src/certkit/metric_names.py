"""The names of our own metrics: one table for all services. Each label has a bounded number of values."""

from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

__all__ = [
    "DELIVERY_FAILURES",
    "DELIVERY_WRITES",
    "ENDPOINT_LOOKS",
    "ENDPOINT_NOT_AFTER",
    "ENDPOINT_SUCCESS",
    "ENDPOINT_VERDICTS",
    "ISSUER_ABANDONED",
    "ISSUER_FAILURES",
    "ISSUER_ISSUED",
    "ORDERS_READ",
    "ORDERS_TAKEN",
    "UNREADABLE_ITEMS",
    "Metric",
    "counter",
    "gauge",
]


@dataclass(frozen=True)
class Metric:
    name: str
    help: str
    labels: tuple[str, ...] = ()


DELIVERY_FAILURES: Final = Metric(
    "certbus_delivery_failures", "Copies that could not be made right.", ("kind", "reason")
)
DELIVERY_WRITES: Final = Metric("certbus_delivery_writes", "Copies written.", ("kind", "reason"))
ENDPOINT_LOOKS: Final = Metric("certbus_endpoint_looks", "Looks at endpoints.", ("verdict",))
# The names that blackbox_exporter made known: existing dashboards read them.
ENDPOINT_NOT_AFTER: Final = Metric(
    "probe_ssl_earliest_cert_expiry", "Unix time at which the first of the served leaves expires.", ("url",)
)
ENDPOINT_SUCCESS: Final = Metric("probe_success", "1 where every address serves an accepted revision.", ("url",))
ENDPOINT_VERDICTS: Final = Metric("certbus_endpoint_verdict", "Endpoints by what the last look found.", ("verdict",))
ISSUER_ABANDONED: Final = Metric(
    "certbus_issuer_orders_abandoned", "Orders at a CA that were given up.", ("ca", "reason")
)
ISSUER_FAILURES: Final = Metric("certbus_issuer_failures", "Runs of jobs that failed.", ("ca", "reason"))
ISSUER_ISSUED: Final = Metric("certbus_issuer_certificates_issued", "Revisions handed over.", ("ca",))
ORDERS_READ: Final = Metric(
    "certbus_orders_read_timestamp_seconds", "When all deployments were last read from the registry."
)
UNREADABLE_ITEMS: Final = Metric(
    "certbus_unreadable_items", "Items of events and answers that could not be read and were set aside.", ("source",)
)
ORDERS_TAKEN: Final = Metric("certbus_orders", "Deployment orders that came in.", ("standing",))


def counter(metric: Metric, registry: CollectorRegistry) -> Counter:
    return Counter(metric.name, metric.help, metric.labels, registry=registry)


def gauge(metric: Metric, registry: CollectorRegistry) -> Gauge:
    return Gauge(metric.name, metric.help, metric.labels, registry=registry)

"""The names of our own metrics: one table for all services. Each label has a bounded number of values."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

__all__ = [
    "BUS_HEALTHY",
    "CONSUMER_ACK_PENDING",
    "CONSUMER_PENDING",
    "CONSUMER_PRESENT",
    "CONSUMER_REDELIVERED",
    "CONSUMER_STUCK",
    "DEAD_LETTERS",
    "DELIVERY_FAILURES",
    "DELIVERY_WRITES",
    "DESTINATION_OUT",
    "DISK_FREE",
    "DISK_SHORT",
    "ENDPOINT_LOOKS",
    "ENDPOINT_NOT_AFTER",
    "ENDPOINT_SUCCESS",
    "ENDPOINT_VERDICTS",
    "FAILED_LOGINS",
    "HEARTBEAT",
    "ISSUER_ABANDONED",
    "ISSUER_CA_AWAY",
    "ISSUER_CHALLENGES",
    "ISSUER_FAILURES",
    "ISSUER_ISSUED",
    "ISSUER_WAITS",
    "LEADS",
    "LIMITED_REQUESTS",
    "ORDERS_READ",
    "ORDERS_TAKEN",
    "OUTBOX_OLDEST",
    "OUTBOX_PARKED",
    "OUTBOX_PUBLISHED",
    "OUTBOX_UNSENT",
    "READY",
    "ROUND_FAILURES",
    "STREAM_BYTES",
    "STREAM_BYTES_LIMIT",
    "STREAM_MESSAGES",
    "STREAM_MESSAGES_LIMIT",
    "TASK_RESTARTS",
    "UNREADABLE_ITEMS",
    "Metric",
    "counter",
    "gauge",
    "histogram",
]


@dataclass(frozen=True)
class Metric:
    name: str
    help: str
    labels: tuple[str, ...] = ()


_CONSUMER: Final = ("stream", "durable")

BUS_HEALTHY: Final = Metric("certbus_bus_healthy", "1 where the broker's own health check says ok.")
CONSUMER_ACK_PENDING: Final = Metric(
    "certbus_consumer_ack_pending", "Messages handed over and not acknowledged.", _CONSUMER
)
CONSUMER_PENDING: Final = Metric("certbus_consumer_pending", "Messages not handed over yet.", _CONSUMER)
CONSUMER_PRESENT: Final = Metric("certbus_consumer_present", "0 where the broker has no such consumer.", _CONSUMER)
CONSUMER_REDELIVERED: Final = Metric(
    "certbus_consumer_redelivered", "Messages handed over more than once and not acknowledged.", _CONSUMER
)
CONSUMER_STUCK: Final = Metric("certbus_consumer_stuck", "1 where messages wait and none is handed over.", _CONSUMER)
DEAD_LETTERS: Final = Metric("certbus_dead_letters", "Events that were set aside.", ("durable", "fate"))
DELIVERY_FAILURES: Final = Metric(
    "certbus_delivery_failures", "Copies that could not be made right.", ("kind", "reason")
)
DELIVERY_WRITES: Final = Metric("certbus_delivery_writes", "Copies written.", ("kind", "reason"))
DESTINATION_OUT: Final = Metric(
    "certbus_destination_out_of_reach",
    "1 while several deliveries in a row could not reach a destination.",
    ("kind", "destination"),
)
DISK_FREE: Final = Metric("certbus_disk_free_bytes", "Room on the disk of a folder with state.", ("folder",))
DISK_SHORT: Final = Metric("certbus_disk_short", "1 where that room is too little to go on.", ("folder",))
ENDPOINT_LOOKS: Final = Metric("certbus_endpoint_looks", "Looks at endpoints.", ("verdict",))
# The names that blackbox_exporter made known: existing dashboards read them.
ENDPOINT_NOT_AFTER: Final = Metric(
    "probe_ssl_earliest_cert_expiry", "Unix time at which the first of the served leaves expires.", ("url",)
)
ENDPOINT_SUCCESS: Final = Metric("probe_success", "1 where every address serves an accepted revision.", ("url",))
ENDPOINT_VERDICTS: Final = Metric("certbus_endpoint_verdict", "Endpoints by what the last look found.", ("verdict",))
FAILED_LOGINS: Final = Metric("certbus_failed_logins", "Logins at the registry that failed, by why.", ("reason",))
LIMITED_REQUESTS: Final = Metric(
    "certbus_limited_requests", "Requests that the registry answered with 429, by kind of budget.", ("kind",)
)
HEARTBEAT: Final = Metric(
    "certbus_heartbeat_timestamp_seconds", "When the service's last heartbeat was stored.", ("place", "service")
)
ISSUER_ABANDONED: Final = Metric(
    "certbus_issuer_orders_abandoned", "Orders at a CA that were given up.", ("ca", "reason")
)
ISSUER_CA_AWAY: Final = Metric("certbus_issuer_ca_away", "1 where the CA doesn't answer, whatever is asked.", ("ca",))
ISSUER_CHALLENGES: Final = Metric(
    "certbus_issuer_challenge_seconds",
    "From the first showing of an order's challenges to its outcome, waits included.",
    ("ca", "solver", "outcome"),
)
ISSUER_FAILURES: Final = Metric("certbus_issuer_failures", "Runs of jobs that failed.", ("ca", "reason"))
ISSUER_ISSUED: Final = Metric("certbus_issuer_certificates_issued", "Revisions handed over.", ("ca",))
ISSUER_WAITS: Final = Metric("certbus_issuer_waits", "Runs of jobs that ended to wait.", ("ca", "reason"))
LEADS: Final = Metric("certbus_registry_leads", "1 where this registry does what one of several does alone.")
ORDERS_READ: Final = Metric(
    "certbus_orders_read_timestamp_seconds", "When all deployments were last read from the registry."
)
OUTBOX_OLDEST: Final = Metric(
    "certbus_outbox_oldest_seconds", "Age of the oldest event that its stream hasn't stored yet.", ("stream",)
)
OUTBOX_PARKED: Final = Metric("certbus_outbox_parked", "1 where the stream takes nothing.", ("stream",))
OUTBOX_PUBLISHED: Final = Metric("certbus_outbox_published", "Events that their stream stored.", ("stream",))
OUTBOX_UNSENT: Final = Metric("certbus_outbox_unsent", "Events that their stream hasn't stored yet.", ("stream",))
READY: Final = Metric("certbus_ready", "1 where /readyz says that the service can do its work.")
ROUND_FAILURES: Final = Metric("certbus_round_failures", "Rounds of the background that failed.", ("service", "task"))
STREAM_BYTES: Final = Metric("certbus_stream_bytes", "What a stream holds.", ("stream",))
STREAM_BYTES_LIMIT: Final = Metric("certbus_stream_bytes_limit", "What a stream may hold.", ("stream",))
STREAM_MESSAGES: Final = Metric("certbus_stream_messages", "Messages that a stream holds.", ("stream",))
STREAM_MESSAGES_LIMIT: Final = Metric(
    "certbus_stream_messages_limit", "Messages that a stream may hold, where that is limited.", ("stream",)
)
TASK_RESTARTS: Final = Metric(
    "certbus_task_restarts", "Tasks of the background that ended and were started again.", ("service", "task")
)
UNREADABLE_ITEMS: Final = Metric(
    "certbus_unreadable_items", "Items of events and answers that could not be read and were set aside.", ("source",)
)
ORDERS_TAKEN: Final = Metric("certbus_orders", "Deployment orders that came in.", ("standing",))


def counter(metric: Metric, registry: CollectorRegistry) -> Counter:
    return Counter(metric.name, metric.help, metric.labels, registry=registry)


def gauge(metric: Metric, registry: CollectorRegistry) -> Gauge:
    return Gauge(metric.name, metric.help, metric.labels, registry=registry)


def histogram(metric: Metric, registry: CollectorRegistry, buckets: Sequence[float]) -> Histogram:
    return Histogram(metric.name, metric.help, metric.labels, registry=registry, buckets=buckets)

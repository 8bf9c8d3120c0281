"""Metrics: one series a URL for what dashboards know from blackbox_exporter, one a verdict for all the rest."""

from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge

from certcore.events import ServingVerdict
from monitor.domain.watched import Key

__all__ = ["Gauges"]

_SUCCESS = frozenset({ServingVerdict.WANTED, ServingVerdict.PREVIOUS})


class Gauges:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._success = Gauge(
            "probe_success", "1 where every address serves an accepted revision", ["url"], registry=registry
        )
        self._expiry = Gauge(
            "probe_ssl_earliest_cert_expiry",
            "Unix time at which the first of the served leaves expires",
            ["url"],
            registry=registry,
        )
        self._verdicts = Gauge(
            "certbus_endpoint_verdict", "Endpoints by what the last look found", ["verdict"], registry=registry
        )
        self._looks = Counter("certbus_endpoint_looks", "Looks by verdict", ["verdict"], registry=registry)
        self._last: dict[Key, ServingVerdict] = {}
        for verdict in ServingVerdict:
            self._verdicts.labels(verdict=verdict).set(0)

    def show(self, key: Key, verdict: ServingVerdict, earliest_expiry: datetime | None) -> None:
        _, url = key
        self._success.labels(url=url).set(verdict in _SUCCESS)
        if earliest_expiry is not None:
            self._expiry.labels(url=url).set(earliest_expiry.timestamp())
        self._looks.labels(verdict=verdict).inc()
        self._count(key, verdict)

    def forget(self, key: Key) -> None:
        self._count(key, None)
        _, url = key
        if not any(other == url for _, other in self._last):
            self._success.remove(url)
            self._expiry.remove(url)

    def _count(self, key: Key, verdict: ServingVerdict | None) -> None:
        before = self._last.pop(key, None)
        if before is not None:
            self._verdicts.labels(verdict=before).dec()
        if verdict is not None:
            self._last[key] = verdict
            self._verdicts.labels(verdict=verdict).inc()

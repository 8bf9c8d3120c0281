"""Metrics: by URL those that blackbox_exporter made known, by verdict all others."""

from datetime import datetime

from prometheus_client import CollectorRegistry

from certcore.events import ServingVerdict
from certkit import metric_names
from certkit.metric_names import counter, gauge
from monitor.domain.verdict import OURS
from monitor.domain.watched import Key

__all__ = ["Gauges"]


class Gauges:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._success = gauge(metric_names.ENDPOINT_SUCCESS, registry)
        self._expiry = gauge(metric_names.ENDPOINT_NOT_AFTER, registry)
        self._verdicts = gauge(metric_names.ENDPOINT_VERDICTS, registry)
        self._looks = counter(metric_names.ENDPOINT_LOOKS, registry)
        self._last: dict[Key, ServingVerdict] = {}
        for verdict in ServingVerdict:
            self._verdicts.labels(verdict=verdict).set(0)

    def show(self, key: Key, verdict: ServingVerdict, earliest_expiry: datetime | None) -> None:
        _, url = key
        self._success.labels(url=url).set(verdict in OURS)
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

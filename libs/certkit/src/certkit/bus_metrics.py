"""FastStream's metrics of the bus, with labels that don't grow with what is managed."""

from typing import Any

from faststream.nats import NatsMessage
from faststream.nats.prometheus.provider import NatsMetricsSettingsProvider
from faststream.nats.response import NatsPublishCommand
from faststream.prometheus import ConsumeAttrs
from faststream.prometheus.middleware import PrometheusMiddleware
from nats.aio.msg import Msg
from prometheus_client import CollectorRegistry

from certcore.subjects import family

__all__ = ["bus_metrics"]


class _Families(NatsMetricsSettingsProvider):
    """A label of each subject would be a time series of each certificate and endpoint."""

    def get_consume_attrs_from_message(self, msg: NatsMessage) -> ConsumeAttrs:  # type: ignore[override] # Msg's own
        attrs = super().get_consume_attrs_from_message(msg)
        return {**attrs, "destination_name": family(attrs["destination_name"])}

    def get_publish_destination_name_from_cmd(self, cmd: Any) -> str:
        return family(super().get_publish_destination_name_from_cmd(cmd))


class _BusMetrics(PrometheusMiddleware[Msg, NatsPublishCommand]):
    pass


def bus_metrics(metrics: CollectorRegistry, *, service: str) -> _BusMetrics:
    """Counts and times what is consumed and published, by `subjects.family`."""
    return _BusMetrics(settings_provider_factory=_families, registry=metrics, app_name=service)


def _families(msg: Any) -> _Families | None:
    return _Families() if msg is None or isinstance(msg, Msg) else None

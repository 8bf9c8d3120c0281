"""All that tells whether a process can do its work, put together the same way for every service."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from faststream.nats import NatsBroker
from prometheus_client import CollectorRegistry, ProcessCollector

from certcore.clock import Clock
from certkit.background import Background
from certkit.bus_health import BusHealth, Listener
from certkit.consumers import Consumers
from certkit.disk import Disks
from certkit.metric_names import READY, gauge
from certkit.readiness import Check, Finding, Readiness
from certkit.settings import BusSettings

__all__ = ["service_readiness"]

_PING_S: Final = 1.0
_CONSUMERS_EVERY_S: Final = 10.0
_BROKER_EVERY_S: Final = 5.0
_SHOWN_EVERY_S: Final = 5.0


def service_readiness(
    *,
    broker: NatsBroker,
    bus: BusSettings,
    background: Background,
    metrics: CollectorRegistry,
    clock: Clock,
    checks: Sequence[Check] = (),
    folders: Sequence[Path | None] = (),
    listener: Listener | None = None,
) -> Readiness:
    """Ready where the bus answers, no task is down, each consumer is there and read, the disks of the folders have
    room, and no check has a problem.

    Rounds are added to the background: `readiness` for the metrics, `consumers`, and `broker` where the bus has a
    `monitor_url`. `listener` is told what the latter finds.
    """
    ProcessCollector(registry=metrics)
    consumers = Consumers(broker=broker, metrics=metrics, clock=clock)
    background.add_round("consumers", _CONSUMERS_EVERY_S, consumers.look)
    disks = Disks((folder for folder in folders if folder is not None), metrics=metrics)
    # Causes before their consequences.
    own: list[Check] = [consumers.findings, disks.findings, background.findings]
    if bus.monitor_url is not None:
        health = BusHealth(
            monitor_url=bus.monitor_url,
            tls=bus.monitor_tls_context(),
            metrics=metrics,
            clock=clock,
            listener=listener,
        )
        background.add_round("broker", _BROKER_EVERY_S, health.look)
        own.insert(0, health.findings)

    async def reached() -> Finding:
        answers = await broker.ping(timeout=_PING_S)
        return Finding(check="bus", problem=None if answers else "it can't be reached")

    readiness, ready = Readiness(*own, *checks, bus=reached), gauge(READY, metrics)

    async def show() -> None:
        ready.set(await readiness.reason() is None)

    background.add_round("readiness", _SHOWN_EVERY_S, show)
    return readiness

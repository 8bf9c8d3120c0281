"""The one place that builds the escrow's objects: a process of its own, on a host of its own."""

from importlib.metadata import version
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector

from certcore.clock import system_clock
from certcore.identities import ESCROW, HUB
from certkit.background import Background
from certkit.busless import BuslessApp
from certkit.disk import Disks
from certkit.heartbeat import Heartbeat
from certkit.readiness import Readiness, asked
from certkit.registry_client import RegistryClient
from certkit.telemetry import configure_telemetry
from issuer.adapters.escrow_key import escrow_key
from issuer.adapters.registry_heartbeats import RegistryHeartbeats
from issuer.escrow_settings import EscrowSettings
from issuer.handlers.resealing import Resealing

__all__ = ["create_escrow"]

_SERVICE: Final = ESCROW


def create_escrow(settings: EscrowSettings) -> BuslessApp:
    """
    Raises:
        SealingError: the file of the escrow's key holds none.
    """
    telemetry = configure_telemetry(_SERVICE, settings.telemetry)
    metrics = CollectorRegistry()
    ProcessCollector(registry=metrics)
    background = Background(service=_SERVICE, metrics=metrics, clock=system_clock)
    registry = RegistryClient(settings.registry)
    resealing = Resealing(key=escrow_key(settings.state_folder), registry=registry, metrics=metrics)
    background.add_round("reseals", settings.reseal_every_s, resealing.round)
    disks = Disks([settings.state_folder], metrics=metrics)
    checks = (disks.findings, background.findings, asked("registry", resealing.not_ready), resealing.findings)
    readiness = Readiness(*checks)
    heartbeat = Heartbeat(
        RegistryHeartbeats(registry),
        place=HUB,
        service=_SERVICE,
        version=version("certbus-issuer"),
        readiness=readiness,
        metrics=metrics,
        clock=system_clock,
    )
    heartbeat.keep_beating(background, every_s=settings.heartbeat_every_s)
    return BuslessApp(
        telemetry=telemetry,
        metrics=metrics,
        readiness=readiness,
        background=background,
        resources=[registry],
    )

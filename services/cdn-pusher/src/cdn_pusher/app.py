"""The pusher, put together."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from importlib.metadata import version

import structlog
from faststream.asgi import AsgiFastStream
from opentelemetry.trace import Tracer
from prometheus_client import CollectorRegistry, Counter

from cdn_pusher.adapters.certificate_files import CertificateFiles
from cdn_pusher.adapters.haproxy import HaproxyInstance
from cdn_pusher.adapters.instance_lock import InstanceLock
from cdn_pusher.adapters.master_socket import MasterSocket
from cdn_pusher.adapters.runtime_socket import RuntimeSocket
from cdn_pusher.adapters.served import Listeners
from cdn_pusher.domain.probe_names import ProbeAddress
from cdn_pusher.handlers.delivery import Deliverer
from cdn_pusher.handlers.heartbeat import keep_beating
from cdn_pusher.handlers.orders import Orders
from cdn_pusher.handlers.reports import Reports
from cdn_pusher.settings import InstanceSettings, Settings
from certcore import subjects
from certcore.clock import system_clock
from certcore.events import DeploymentOrdered
from certcore.identities import Service, durable, source
from certcore.sealing import RecipientKey
from certkit.bus import EventPublisher, make_broker, subscribe
from certkit.registry_client import RegistryClient
from certkit.reports import StatusReports
from certkit.service import health_routes
from certkit.telemetry import configure_telemetry
from certprobe.handshake import Prober

__all__ = ["create_app"]

log = structlog.get_logger()

_RELOAD_PATIENCE_S = 5.0
_DRAIN_S = 20.0


def create_app(settings: Settings) -> AsgiFastStream:
    telemetry = configure_telemetry("cdn-pusher", settings.telemetry)
    metrics = CollectorRegistry()
    broker = make_broker(
        settings.bus, place=settings.site, service="cdn-pusher", telemetry=telemetry, metrics=metrics
    )
    registry = RegistryClient(settings.registry)
    publisher = EventPublisher(broker=broker, source=source(settings.site, Service.PUSHER), clock=system_clock)
    reports = Reports(
        reports=StatusReports(publisher=publisher, place=settings.site, service=Service.PUSHER),
        site=settings.site,
        version=version("certbus-cdn-pusher"),
    )
    deliverers = _deliverers(settings, registry, reports, telemetry.tracer, metrics)
    orders = Orders(
        deliverers=deliverers,
        registry=registry,
        reports=reports,
        clock=system_clock,
        reconcile_every=timedelta(seconds=settings.reconcile_every_s),
    )
    subscribe(
        broker,
        stream=subjects.deploy_stream(settings.site),
        durable=durable(settings.site, Service.PUSHER),
        identity=settings.bus.identity,
        handlers={DeploymentOrdered: orders.on_deployment_ordered},
    )
    background: list[asyncio.Task[None]] = []

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        async with registry:
            yield

    async def begin() -> None:
        background.extend(asyncio.create_task(deliverer.run()) for deliverer in deliverers.values())
        background.append(asyncio.create_task(orders.keep_reconciling()))
        background.append(asyncio.create_task(keep_beating(reports, every_s=settings.heartbeat_every_s)))

    async def finish() -> None:
        for deliverer in deliverers.values():
            deliverer.stop()
        pushing = background[: len(deliverers)]
        if pushing:
            await asyncio.wait(pushing, timeout=_DRAIN_S)
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)

    async def readiness() -> str | None:
        if not await broker.ping(timeout=2.0):
            return "the bus doesn't answer"
        if any(task.done() for task in background):
            return "a part of the service has ended: see its log"
        return None if orders.read_once else "the registry's orders were not read yet"

    return AsgiFastStream(
        broker,
        asgi_routes=health_routes(readiness=readiness, metrics=metrics),
        logger=None,
        lifespan=lifespan,
        after_startup=[begin],
        on_shutdown=[finish],
    )


def _deliverers(
    settings: Settings, registry: RegistryClient, reports: Reports, tracer: Tracer, metrics: CollectorRegistry
) -> dict[str, Deliverer]:
    key = RecipientKey.load(settings.recipient.name, settings.recipient.key_file)
    prober = Prober(verify=False, timeout_s=settings.probe_timeout_s)
    outcomes = Counter("certbus_deliveries", "Deliveries by outcome", ["outcome"], registry=metrics)
    return {
        name: Deliverer(
            instance=_instance(name, instance, prober),
            registry=registry,
            key=key,
            reports=reports,
            tracer=tracer,
            outcomes=outcomes,
            clock=system_clock,
            look_every=timedelta(seconds=settings.reconcile_every_s),
        )
        for name, instance in settings.instances.items()
    }


def _instance(name: str, settings: InstanceSettings, prober: Prober) -> HaproxyInstance:
    directory = settings.directory
    return HaproxyInstance(
        name=name,
        runtime=RuntimeSocket(settings.socket, command_limit_bytes=settings.command_limit_bytes),
        master=MasterSocket(settings.master_socket) if settings.master_socket else None,
        files=CertificateFiles(directory=directory, crt_list=settings.crt_list),
        crt_list=settings.crt_list,
        lock=InstanceLock(directory.with_name(f".{directory.name}.lock")),
        listeners=Listeners(
            [ProbeAddress.parse(address) for address in settings.probe],
            prober=prober,
            patience_s=_RELOAD_PATIENCE_S,
        ),
    )

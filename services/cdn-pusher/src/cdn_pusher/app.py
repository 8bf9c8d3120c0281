"""Builds the pusher of one place: everything that lives as long as the process."""

from importlib.metadata import version

from prometheus_client import CollectorRegistry

from cdn_pusher.settings import Settings
from certcore import subjects
from certcore.clock import system_clock
from certcore.identities import durable, identity, source
from certcore.sealing import RecipientKey
from certdelivery.drivers import built, load_drivers
from certdelivery.engine import Engine
from certdelivery.reports import Reports
from certdelivery.target import DriverContext
from certkit.background import Background
from certkit.bus import EventPublisher, make_broker, subscribe
from certkit.health import service_readiness
from certkit.heartbeat import Heartbeat
from certkit.lifecycle import ServiceApp, service_app
from certkit.readiness import asked
from certkit.registry_client import RegistryClient
from certkit.reports import StatusReports
from certkit.telemetry import configure_telemetry

__all__ = ["create_app"]


def create_app(settings: Settings) -> ServiceApp:
    """The application; nothing is connected before it is started."""
    place, service, release = settings.place, settings.SERVICE, version("certbus-cdn-pusher")
    telemetry = configure_telemetry(identity(place, service), settings.telemetry)
    metrics = CollectorRegistry()
    background = Background(service=identity(place, service), metrics=metrics, clock=system_clock)
    broker = make_broker(settings.bus, place=place, service=service, telemetry=telemetry, metrics=metrics)
    drivers = load_drivers(service)
    context = DriverContext(place=place, user_agent=f"certbus-{service}/{release}", clock=system_clock)
    publisher = EventPublisher(broker=broker, source=source(place, service), clock=system_clock)
    status = StatusReports(publisher=publisher, place=place, service=service)
    reports = Reports(status, place=place)
    registry = RegistryClient(settings.registry)
    engine = Engine(
        place=place,
        drivers=drivers,
        ports=built(drivers, settings.targets, context),
        registry=registry,
        key=RecipientKey.load(settings.recipient.name, settings.recipient.key_file),
        reports=reports,
        tracer=telemetry.tracer,
        metrics=metrics,
        clock=system_clock,
    )
    subscribe(
        broker,
        stream=subjects.deploy_stream(place),
        durable=durable(place, service),
        identity=settings.bus.identity,
        handlers=engine.handlers,
    )
    readiness = service_readiness(
        broker=broker,
        bus=settings.bus,
        background=background,
        metrics=metrics,
        clock=system_clock,
        checks=[asked("deployments", engine.not_ready)],
        # Where its own files lie.
        folders=[settings.recipient.key_file.parent],
    )
    heartbeat = Heartbeat(
        status,
        place=place,
        service=service,
        version=release,
        readiness=readiness,
        metrics=metrics,
        clock=system_clock,
        kinds=list(drivers),
    )
    background.add_round("reconcile", settings.reconcile_every_s, engine.reconcile)
    heartbeat.keep_beating(background, every_s=settings.heartbeat_every_s)
    return service_app(
        broker,
        telemetry=telemetry,
        metrics=metrics,
        readiness=readiness,
        background=background,
        resources=[registry],
        # The rounds first: they would begin what the engine is about to end.
        at_shutdown=[background.stop, engine.close],
    )

"""Builds the syncer of one site: everything that lives as long as the process."""

from importlib.metadata import version

from prometheus_client import CollectorRegistry

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
from syncer.adapters.answer_look import AnswerLook
from syncer.handlers.challenges import Challenges
from syncer.handlers.site_review import Listing, SiteReview
from syncer.installed_places import built_places
from syncer.settings import SyncerSettings

__all__ = ["create_app"]


def create_app(settings: SyncerSettings) -> ServiceApp:
    """The application; nothing is connected before it is started."""
    place, service, release = settings.place, settings.SERVICE, version("certbus-syncer")
    telemetry = configure_telemetry(identity(place, service), settings.telemetry)
    metrics = CollectorRegistry()
    background = Background(service=identity(place, service), metrics=metrics, clock=system_clock)
    broker = make_broker(settings.bus, place=place, service=service, telemetry=telemetry, metrics=metrics)
    drivers = load_drivers(service)
    user_agent = f"certbus-{service}/{release}"
    context = DriverContext(place=place, user_agent=user_agent, clock=system_clock)
    ports = built(drivers, settings.targets, context)
    clusters = {destination.name: port for destination, port in ports.items() if isinstance(port, Listing)}
    publisher = EventPublisher(broker=broker, source=source(place, service), clock=system_clock)
    status = StatusReports(publisher=publisher, place=place, service=service)
    reports = Reports(status, place=place)
    registry = RegistryClient(settings.registry)
    engine = Engine(
        place=place,
        drivers=drivers,
        ports=ports,
        registry=registry,
        key=RecipientKey.load(settings.recipient.name, settings.recipient.key_file),
        reports=reports,
        tracer=telemetry.tracer,
        metrics=metrics,
        clock=system_clock,
    )
    looks = AnswerLook(user_agent=user_agent)
    challenges = Challenges(
        site=place,
        places=built_places(settings.challenges, user_agent=user_agent),
        looks=looks,
        source=registry,
        reports=reports,
        clock=system_clock,
    )
    subscribe(
        broker,
        stream=subjects.deploy_stream(place),
        durable=durable(place, service),
        identity=settings.bus.identity,
        handlers={**engine.handlers, **challenges.handlers},
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
        clusters=list(clusters),
    )
    site_review = SiteReview(site=place, clusters=clusters, registry=registry, reports=reports)
    background.add_round("reconcile", settings.reconcile_every_s, engine.reconcile)
    background.add("show_challenges", challenges.run)
    background.add_round("challenges", settings.reconcile_every_s, challenges.read)
    background.add_round("review", settings.review_every_s, site_review.review)
    heartbeat.keep_beating(background, every_s=settings.heartbeat_every_s)
    return service_app(
        broker,
        telemetry=telemetry,
        metrics=metrics,
        readiness=readiness,
        background=background,
        resources=[registry, looks],
        # The rounds first: they would begin what the engine is about to end.
        at_shutdown=[background.stop, engine.close, challenges.close],
    )

"""The monitor, put together."""

from contextlib import AsyncExitStack
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry

from certcore import subjects
from certcore.clock import system_clock
from certcore.events import EndpointsExpected, EndpointsExpectedV1
from certcore.identities import HUB, Service, durable, source
from certkit.background import Background
from certkit.bus import EventPublisher, make_broker, subscribe, upgrading
from certkit.database import folder_of
from certkit.health import service_readiness
from certkit.heartbeat import Heartbeat
from certkit.lifecycle import ServiceApp, service_app
from certkit.readiness import asked
from certkit.registry_client import RegistryClient
from certkit.reports import StatusReports
from certkit.telemetry import configure_telemetry
from certkit.transactions import Database
from certprobe.handshake import Prober
from monitor.adapters.gauges import Gauges
from monitor.adapters.reports import Reports
from monitor.adapters.store import Store
from monitor.adapters.system_resolver import SystemResolver
from monitor.domain.dns_server import DnsServer
from monitor.domain.resolver import Resolver
from monitor.domain.roster import Roster
from monitor.domain.schedule import Periods
from monitor.handlers.alerts import AlertRelay
from monitor.handlers.expectations import Expectations
from monitor.handlers.handshakes import Handshakes
from monitor.handlers.observations import Observations
from monitor.handlers.patrol import Patrol
from monitor.handlers.registry_watch import RegistryWatch
from monitor.handlers.rounds import ProbeRounds
from monitor.settings import Settings

__all__ = ["create_app"]

_SERVICE: Final = Service.MONITOR
_MIGRATIONS: Final = Path(__file__).parent / "migrations"
_PATROL: Final = "patrol"
_ALERTS_EVERY_S: Final = 5.0
_LAST_LOOKS_S: Final = 3.0
"""So long a shutdown waits for looks that were begun."""


def create_app(settings: Settings) -> ServiceApp:
    telemetry = configure_telemetry(_SERVICE, settings.telemetry)
    metrics = CollectorRegistry()
    background = Background(service=_SERVICE, metrics=metrics, clock=system_clock)
    broker = make_broker(settings.bus, place=HUB, service=_SERVICE, telemetry=telemetry, metrics=metrics)
    publisher = EventPublisher(broker=broker, source=source(HUB, _SERVICE), clock=system_clock)
    registry = RegistryClient(settings.registry)
    database = Database(settings.database_url, metrics=metrics)
    closing = AsyncExitStack()
    closing.push_async_callback(database.close)
    store, roster, gauges = Store(database), Roster(), Gauges(metrics)
    status = StatusReports(publisher=publisher, place=HUB, service=_SERVICE)
    reports = Reports(status)
    relay = AlertRelay(store=store, publisher=publisher)
    periods = Periods(
        routine=timedelta(seconds=settings.period_s),
        rollout=timedelta(seconds=settings.rollout_period_s),
        grace=timedelta(seconds=settings.rollout_grace_s),
    )
    trust = settings.ca_file is not None
    prober = Prober(ca_file=settings.ca_file, timeout_s=settings.timeout_s, verify=trust)
    patrol = Patrol(
        roster=roster,
        store=store,
        handshakes=Handshakes(resolver=_resolver(settings), prober=prober),
        trust=trust,
        observations=Observations(reports=reports, tracer=telemetry.tracer),
        relay=relay,
        gauges=gauges,
        clock=system_clock,
        periods=periods,
    )
    expectations = Expectations(
        roster=roster,
        store=store,
        registry=registry,
        relay=relay,
        gauges=gauges,
        wake=patrol.wake,
        clock=system_clock,
        periods=periods,
    )
    registry_watch = RegistryWatch(
        registry=registry,
        store=store,
        relay=relay,
        clock=system_clock,
        grace=timedelta(seconds=settings.registry_grace_s),
    )
    rounds = ProbeRounds(roster=roster, reports=reports, clock=system_clock, period=periods.routine)
    subscribe(
        broker,
        stream=subjects.CERTS,
        durable=durable(HUB, _SERVICE),
        identity=settings.bus.identity,
        handlers={
            EndpointsExpected: expectations.on_endpoints_expected,
            EndpointsExpectedV1: upgrading(expectations.on_endpoints_expected),
        },
    )
    readiness = service_readiness(
        broker=broker,
        bus=settings.bus,
        background=background,
        metrics=metrics,
        clock=system_clock,
        checks=[asked("expectations", expectations.not_read)],
        folders=[folder_of(settings.database_url)],
    )
    heartbeat = Heartbeat(
        status,
        place=HUB,
        service=_SERVICE,
        version=version("certbus-monitor"),
        readiness=readiness,
        metrics=metrics,
        clock=system_clock,
    )
    background.add(_PATROL, patrol.run)
    background.add_round("expectations", settings.refresh_every_s, expectations.refresh)
    background.add_round("registry", settings.registry_look_every_s, registry_watch.look)
    background.add_round("alerts", _ALERTS_EVERY_S, relay.flush)
    heartbeat.keep_beating(background, every_s=settings.heartbeat_every_s)
    background.add_round("probe_round", settings.period_s, rounds.complete)

    async def bring_up() -> None:
        await database.upgrade(_MIGRATIONS)
        await patrol.remember()

    async def finish_looks() -> None:
        patrol.leave()
        await background.drain(_PATROL, within_s=_LAST_LOOKS_S)

    return service_app(
        broker,
        telemetry=telemetry,
        metrics=metrics,
        readiness=readiness,
        background=background,
        before=[bring_up],
        resources=[closing, registry],
        at_shutdown=[finish_looks],
    )


def _resolver(settings: Settings) -> Resolver:
    if not settings.dns_servers:
        return SystemResolver(timeout_s=settings.timeout_s)
    # Not at the top: it takes long to load, and most installations do without.
    from monitor.adapters.name_servers import NameServers  # noqa: PLC0415

    servers = [DnsServer.parse(server) for server in settings.dns_servers]
    return NameServers(servers, timeout_s=settings.timeout_s)

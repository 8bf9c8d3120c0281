"""The monitor, put together."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final

from faststream.asgi import AsgiFastStream
from prometheus_client import CollectorRegistry

from certcore import subjects
from certcore.clock import system_clock
from certcore.events import EndpointsExpected
from certcore.identities import HUB, Service, durable, source
from certkit.bus import EventPublisher, make_broker, subscribe
from certkit.database import make_engine, upgrade
from certkit.registry_client import RegistryClient
from certkit.reports import StatusReports
from certkit.service import health_routes
from certkit.telemetry import configure_telemetry
from certprobe.handshake import Prober
from monitor.adapters.gauges import Gauges
from monitor.adapters.store import Store
from monitor.adapters.system_resolver import SystemResolver
from monitor.domain.dns_server import DnsServer
from monitor.domain.resolver import Resolver
from monitor.domain.roster import Roster
from monitor.domain.schedule import Periods
from monitor.handlers.alerts import AlertRelay
from monitor.handlers.expectations import Expectations
from monitor.handlers.observations import Observations
from monitor.handlers.patrol import Patrol
from monitor.settings import Settings

__all__ = ["create_app"]

_SERVICE: Final = Service.MONITOR
_MIGRATIONS: Final = Path(__file__).parent / "migrations"


def create_app(settings: Settings) -> AsgiFastStream:
    telemetry = configure_telemetry(_SERVICE, settings.telemetry)
    metrics = CollectorRegistry()
    broker = make_broker(settings.bus, place=HUB, service=_SERVICE, telemetry=telemetry, metrics=metrics)
    publisher = EventPublisher(broker=broker, source=source(HUB, _SERVICE), clock=system_clock)
    registry = RegistryClient(settings.registry)
    engine = make_engine(settings.database_url)
    store, roster, gauges = Store(engine), Roster(), Gauges(metrics)
    relay = AlertRelay(store=store, publisher=publisher)
    periods = Periods(
        routine=timedelta(seconds=settings.period_s),
        rollout=timedelta(seconds=settings.rollout_period_s),
        grace=timedelta(seconds=settings.rollout_grace_s),
    )
    trust = settings.ca_file is not None
    patrol = Patrol(
        roster=roster,
        store=store,
        resolver=_resolver(settings),
        prober=Prober(ca_file=settings.ca_file, timeout_s=settings.timeout_s, verify=trust),
        trust=trust,
        observations=Observations(
            reports=StatusReports(publisher=publisher, place=HUB, service=_SERVICE), tracer=telemetry.tracer
        ),
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
        refresh_every=timedelta(seconds=settings.refresh_every_s),
    )
    subscribe(
        broker,
        stream=subjects.CERTS,
        durable=durable(HUB, _SERVICE),
        identity=settings.bus.identity,
        handlers={EndpointsExpected: expectations.on_endpoints_expected},
    )
    background: list[asyncio.Task[None]] = []

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        await upgrade(engine, _MIGRATIONS)
        await patrol.remember()
        async with registry:
            yield
        await engine.dispose()

    async def begin() -> None:
        background.extend(
            asyncio.create_task(work)
            for work in (patrol.run(), expectations.keep_refreshing(), relay.keep_flushing())
        )

    async def finish() -> None:
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)

    async def readiness() -> str | None:
        if not await broker.ping(timeout=2.0):
            return "the bus doesn't answer"
        if any(task.done() for task in background):
            return "a part of the service has ended: see its log"
        return None if expectations.read_once else "the registry's expectations were not read yet"

    return AsgiFastStream(
        broker,
        asgi_routes=health_routes(readiness=readiness, metrics=metrics),
        logger=None,
        lifespan=lifespan,
        after_startup=[begin],
        on_shutdown=[finish],
    )


def _resolver(settings: Settings) -> Resolver:
    if not settings.dns_servers:
        return SystemResolver(timeout_s=settings.timeout_s)
    # Not at the top: it takes long to load, and most installations do without.
    from monitor.adapters.name_servers import NameServers  # noqa: PLC0415

    servers = [DnsServer.parse(server) for server in settings.dns_servers]
    return NameServers(servers, timeout_s=settings.timeout_s)

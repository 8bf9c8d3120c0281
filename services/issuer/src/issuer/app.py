"""The one place that builds the issuer's objects."""

from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final

from faststream.asgi import AsgiFastStream
from prometheus_client import CollectorRegistry

from certcore import subjects
from certcore.clock import system_clock
from certcore.events import CertificateApproved, CertificateRenewalDue
from certcore.identities import HUB, Service, durable, source
from certcore.sealing import generate_recipient_key
from certkit.bus import EventPublisher, make_broker, subscribe
from certkit.database import make_engine, upgrade
from certkit.registry_client import RegistryClient
from certkit.reports import StatusReports
from certkit.service import health_routes
from certkit.telemetry import configure_telemetry
from issuer.adapters.acme_ca import AcmeCa
from issuer.adapters.challtestsrv_dns01 import ChalltestsrvDns01
from issuer.adapters.http01 import Http01Responder
from issuer.adapters.identity import WorkerIdentity
from issuer.adapters.journal import Journal
from issuer.adapters.status_stream import StatusStream
from issuer.domain.ca_order import ChallengeKind
from issuer.domain.challenge import ChallengeSolver
from issuer.domain.choice import CaPolicy
from issuer.domain.key_material import ESCROW
from issuer.handlers.issuance import Issuance
from issuer.handlers.metrics import Metrics
from issuer.handlers.order_watch import OrderWatch
from issuer.handlers.orders import Handlers
from issuer.handlers.worker import Worker
from issuer.settings import CaSettings, Settings

__all__ = ["create_app"]

_SERVICE: Final = Service.ISSUER
_MIGRATIONS: Final = Path(__file__).parent / "migrations"
_JOBS_PER_THREAD: Final = 4
"""Most of a job's time is waiting for the CA, which takes no thread."""


def create_app(settings: Settings) -> AsgiFastStream:
    telemetry = configure_telemetry(_SERVICE, settings.telemetry)
    metrics = CollectorRegistry()
    identity = WorkerIdentity.take(settings.state_folder)
    escrow = generate_recipient_key(ESCROW, settings.state_folder / "escrow.key")
    engine = make_engine(settings.database_url)
    journal = Journal(engine=engine, worker=identity.name)
    executor = ThreadPoolExecutor(max_workers=settings.workers, thread_name_prefix="acme")
    cas = {ca.name: _ca(ca, settings, journal, executor) for ca in settings.cas}
    responder, dns = _responder(settings, journal), _dns(settings, journal)
    broker = make_broker(settings.bus, place=HUB, service=_SERVICE, telemetry=telemetry, metrics=metrics)
    publisher = EventPublisher(broker=broker, source=source(HUB, _SERVICE), clock=system_clock)
    reports = StatusStream(StatusReports(publisher=publisher, place=HUB, service=_SERVICE))
    registry = RegistryClient(settings.registry)
    policy = CaPolicy(internal=settings.policy.internal, public=settings.policy.public)
    issuance = Issuance(
        journal=journal,
        watch=OrderWatch(
            cas=cas,
            journal=journal,
            clock=system_clock,
            patience=timedelta(seconds=settings.order_patience_s),
        ),
        cas=cas.keys(),
        policy=policy,
        solvers=_solvers(responder, dns),
        registry=registry,
        reports=reports,
        escrow_public_key=escrow.public_key,
        executor=executor,
        clock=system_clock,
    )
    worker = Worker(
        journal=journal,
        issuance=issuance,
        metrics=Metrics(registry=metrics),
        tracer=telemetry.tracer,
        clock=system_clock,
        in_flight=settings.workers * _JOBS_PER_THREAD,
    )
    handlers = Handlers(
        journal=journal, reports=reports, policy=policy, cas=cas.keys(), wake=worker.wake, clock=system_clock
    )
    subscribe(
        broker,
        stream=subjects.CERTS,
        durable=durable(HUB, _SERVICE),
        identity=settings.bus.identity,
        handlers={CertificateApproved: handlers.approved, CertificateRenewalDue: handlers.renewal_due},
    )

    async def readiness() -> str | None:
        if not worker.alive:
            return "the worker is not running"
        return None if await broker.ping(timeout=1.0) else "the bus doesn't answer"

    @asynccontextmanager
    async def lifespan() -> AsyncGenerator[None]:
        async with AsyncExitStack() as stack:
            stack.callback(identity.release)
            stack.callback(telemetry.provider.shutdown)
            stack.callback(executor.shutdown, wait=False, cancel_futures=True)
            stack.push_async_callback(engine.dispose)
            await upgrade(engine, _MIGRATIONS)
            await stack.enter_async_context(registry)
            if dns is not None:
                await stack.enter_async_context(dns)
            if responder is not None:
                await responder.start()
                stack.push_async_callback(responder.stop)
            yield

    return AsgiFastStream(
        broker,
        lifespan=lifespan,
        after_startup=[worker.start],
        on_shutdown=[worker.stop],
        asgi_routes=health_routes(readiness=readiness, metrics=metrics),
        logger=None,
    )


def _ca(ca: CaSettings, settings: Settings, journal: Journal, executor: ThreadPoolExecutor) -> AcmeCa:
    return AcmeCa(settings=ca, state_folder=settings.state_folder, accounts=journal, executor=executor)


def _responder(settings: Settings, journal: Journal) -> Http01Responder | None:
    if not any(ChallengeKind.HTTP_01 in ca.challenges for ca in settings.cas):
        return None

    async def find(token: str) -> str | None:
        records = await journal.records_at(ChallengeKind.HTTP_01, token)
        return records[0].record_value if records else None

    return Http01Responder(host=settings.http01.host, port=settings.http01.port, find=find)


def _dns(settings: Settings, journal: Journal) -> ChalltestsrvDns01 | None:
    if settings.dns is None:
        return None
    return ChalltestsrvDns01(url=settings.dns.url, records_at=partial(journal.records_at, ChallengeKind.DNS_01))


def _solvers(
    responder: Http01Responder | None, dns: ChalltestsrvDns01 | None
) -> dict[ChallengeKind, ChallengeSolver]:
    solvers: dict[ChallengeKind, ChallengeSolver] = {}
    if responder is not None:
        solvers[ChallengeKind.HTTP_01] = responder
    if dns is not None:
        solvers[ChallengeKind.DNS_01] = dns
    return solvers

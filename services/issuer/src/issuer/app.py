"""The one place that builds the issuer's objects."""

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry

from certcore import subjects
from certcore.clock import system_clock
from certcore.events import CertificateApproved, CertificateRenewalDue, CsrAccepted
from certcore.identities import HUB, Service, durable, source
from certkit.background import Background
from certkit.bus import EventPublisher, make_broker, subscribe
from certkit.disk import folder_of
from certkit.health import service_readiness
from certkit.heartbeat import Heartbeat
from certkit.lifecycle import ServiceApp, service_app
from certkit.readiness import asked
from certkit.registry_client import RegistryClient
from certkit.reports import StatusReports
from certkit.telemetry import configure_telemetry
from certkit.transactions import Database
from issuer.adapters.challtestsrv_dns01 import ChalltestsrvDns01
from issuer.adapters.escrow_key import escrow_key_left_in
from issuer.adapters.http01 import Http01Responder
from issuer.adapters.identity import WorkerIdentity
from issuer.adapters.journal import Journal
from issuer.adapters.journal_database import JournalDatabase
from issuer.adapters.journal_key import journal_key
from issuer.adapters.kept_bundles import KeptBundles
from issuer.adapters.rsa_keys import RsaKeys
from issuer.adapters.status_stream import StatusStream
from issuer.cas.acme.account_key import AccountSafe
from issuer.cas.acme.ca import AcmeCa
from issuer.domain.ca_order import ChallengeKind
from issuer.domain.challenge import ChallengeSolver
from issuer.domain.choice import CaPolicy
from issuer.handlers.issuance import Issuance
from issuer.handlers.issue_orders import IssueOrders
from issuer.handlers.metrics import Metrics
from issuer.handlers.order_list import OrderList
from issuer.handlers.order_watch import OrderWatch
from issuer.handlers.orphans import Orphans
from issuer.handlers.pruning import Pruning
from issuer.handlers.worker import UPKEEP_S, Worker
from issuer.settings import Settings

__all__ = ["create_app"]

_SERVICE: Final = Service.ISSUER
_MIGRATIONS: Final = Path(__file__).parent / "migrations"
_TAKE_JOBS: Final = "jobs"
_TAKING_ENDS_S: Final = 5.0
_TRY_JOURNAL_EVERY_S: Final = 1.0
_PRUNE_EVERY_S: Final = 3600.0
_EVENTS_AT_ONCE: Final = 32
_JOBS_PER_WORKER: Final = 4
_KEY_THREADS: Final = 2
"""For RSA keys alone: what is asked of a CA takes no thread."""


def create_app(settings: Settings) -> ServiceApp:
    telemetry = configure_telemetry(_SERVICE, settings.telemetry)
    metrics = CollectorRegistry()
    background = Background(service=_SERVICE, metrics=metrics, clock=system_clock)
    identity = WorkerIdentity.take(settings.state_folder)
    database = JournalDatabase(Database(settings.database_url, metrics=metrics))
    journal = Journal(database=database, worker=identity.name, clock=system_clock)
    kept = KeptBundles(database)
    executor = ThreadPoolExecutor(max_workers=_KEY_THREADS, thread_name_prefix="keys")
    rsa_keys = RsaKeys(ahead=settings.rsa_keys_ahead)
    cas = _cas(settings, journal)
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
        escrow_public_key=settings.escrow_public_key,
        blocked_keys=settings.blocked_keys(),
        rsa_key=rsa_keys.take,
        executor=executor,
        clock=system_clock,
    )
    worker = Worker(
        journal=journal,
        issuance=issuance,
        metrics=Metrics(registry=metrics),
        tracer=telemetry.tracer,
        clock=system_clock,
        in_flight=settings.workers * _JOBS_PER_WORKER,
    )
    orders = IssueOrders(journal=journal, policy=policy, cas=cas.keys(), wake=worker.wake, clock=system_clock)
    order_list = OrderList(registry=registry, orders=orders, kept=kept, clock=system_clock)
    subscribe(
        broker,
        stream=subjects.CERTS,
        durable=durable(HUB, _SERVICE),
        identity=settings.bus.identity,
        handlers={
            CertificateApproved: orders.approved,
            CertificateRenewalDue: orders.renewal_due,
            CsrAccepted: orders.csr_accepted,
        },
        # Each is a job of its own: a single order isn't behind the writes of a burst.
        at_once=_EVENTS_AT_ONCE,
        may_read=database.writable,
    )

    readiness = service_readiness(
        broker=broker,
        bus=settings.bus,
        background=background,
        metrics=metrics,
        clock=system_clock,
        checks=[
            asked("journal", database.not_ready),
            asked("orders", order_list.not_ready),
            escrow_key_left_in(settings.state_folder),
        ],
        folders=[settings.state_folder, folder_of(settings.database_url)],
    )
    heartbeat = Heartbeat(
        reports,
        place=HUB,
        service=_SERVICE,
        version=version("certbus-issuer"),
        readiness=readiness,
        metrics=metrics,
        clock=system_clock,
    )
    background.add(_TAKE_JOBS, worker.take_jobs)
    background.add_round("upkeep", UPKEEP_S, worker.keep_up)
    background.add_round("journal", _TRY_JOURNAL_EVERY_S, database.try_to_write)
    background.add_round("orders", settings.orders_every_s, order_list.read)
    background.add_round("prune", _PRUNE_EVERY_S, Pruning(kept=kept, clock=system_clock).prune)
    tidying = Orphans(journal=journal, cas=cas, clock=system_clock)
    background.add_round("orphans", settings.orphans_every_s, tidying.tidy)
    background.add_round("heartbeat", settings.heartbeat_every_s, heartbeat.beat)
    return service_app(
        broker,
        telemetry=telemetry,
        metrics=metrics,
        readiness=readiness,
        background=background,
        before=[partial(database.upgrade, _MIGRATIONS), *(ca.load_account for ca in cas.values())],
        resources=[_held(identity, executor), rsa_keys, database, registry, *cas.values(), *_solving(responder, dns)],
        # Those of its life before a crash, too.
        after_start=[journal.release_leases],
        at_shutdown=[
            worker.stop,
            partial(background.drain, _TAKE_JOBS, within_s=_TAKING_ENDS_S),
            worker.drain,
        ],
    )


@asynccontextmanager
async def _held(identity: WorkerIdentity, executor: ThreadPoolExecutor) -> AsyncIterator[None]:
    """What is there from the beginning, and is given back when everything else has ended."""
    try:
        yield
    finally:
        executor.shutdown(wait=False, cancel_futures=True)
        identity.release()


def _cas(settings: Settings, journal: Journal) -> dict[str, AcmeCa]:
    shared = not settings.database_url.startswith("sqlite")
    safe = AccountSafe(journal_key(settings.journal_key_file, state_folder=settings.state_folder, shared=shared))
    return {
        ca.name: AcmeCa(settings=ca, accounts=journal, safe=safe, state_folder=settings.state_folder)
        for ca in settings.cas
    }


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


def _solving(
    responder: Http01Responder | None, dns: ChalltestsrvDns01 | None
) -> list[AbstractAsyncContextManager[object]]:
    return [solver for solver in (dns, responder) if solver is not None]


def _solvers(
    responder: Http01Responder | None, dns: ChalltestsrvDns01 | None
) -> dict[ChallengeKind, ChallengeSolver]:
    solvers: dict[ChallengeKind, ChallengeSolver] = {}
    if responder is not None:
        solvers[ChallengeKind.HTTP_01] = responder
    if dns is not None:
        solvers[ChallengeKind.DNS_01] = dns
    return solvers

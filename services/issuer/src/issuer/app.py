"""The one place that builds the issuer's objects."""

import time
from collections.abc import AsyncIterator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry

from certcore import subjects
from certcore.ca_limits.asked import AskedCa
from certcore.clock import system_clock
from certcore.events import CertificateApproved, CertificateRenewalDue, CsrAccepted
from certcore.identities import HUB, Service, durable, source
from certkit.background import Background, Work
from certkit.bus import EventPublisher, make_broker, subscribe
from certkit.database import folder_of
from certkit.health import service_readiness
from certkit.heartbeat import Heartbeat
from certkit.lifecycle import ServiceApp, service_app
from certkit.readiness import asked
from certkit.registry_client import RegistryClient
from certkit.reports import StatusReports
from certkit.telemetry import configure_telemetry
from certkit.transactions import Database
from issuer.adapters.authoritative_dns import AuthoritativeDnsViews
from issuer.adapters.caa import ResolvedCaa
from issuer.adapters.crl_book import CrlBook
from issuer.adapters.dns_zones import Zones, zones_by_view
from issuer.adapters.escrow_key import escrow_key_left_in
from issuer.adapters.held_up_jobs import HeldUpJobs
from issuer.adapters.identity import WorkerIdentity
from issuer.adapters.journal import Journal
from issuer.adapters.journal_database import JournalDatabase
from issuer.adapters.journal_key import journal_key
from issuer.adapters.kept_bundles import KeptBundles
from issuer.adapters.registry_transport import RegistryTransport
from issuer.adapters.rsa_keys import RsaKeys
from issuer.adapters.status_stream import StatusStream
from issuer.adapters.window_book import WindowBook
from issuer.cas.acme.account_key import AccountSafe
from issuer.cas.acme.ca import AcmeCa
from issuer.domain.breaker import BreakerRule
from issuer.domain.choice import CaPolicy
from issuer.domain.crl import publishing
from issuer.domain.order_loss import Evidence
from issuer.domain.solver import SolverContext
from issuer.domain.turns import Turns
from issuer.handlers.budgets import Budgets
from issuer.handlers.bulkheads import Bulkheads
from issuer.handlers.caa_check import CaaCheck
from issuer.handlers.challenge_times import ChallengeTimes
from issuer.handlers.challenges import Challenges
from issuer.handlers.crls import Crls
from issuer.handlers.fallbacks import Fallbacks
from issuer.handlers.hand_over import HandOver
from issuer.handlers.issuance import Issuance
from issuer.handlers.issue_orders import IssueOrders
from issuer.handlers.limit_reports import LimitReports
from issuer.handlers.metrics import Metrics
from issuer.handlers.order_list import OrderList
from issuer.handlers.order_watch import OrderWatch
from issuer.handlers.orphans import Orphans
from issuer.handlers.pruning import Pruning
from issuer.handlers.renewal_windows import RenewalWindows
from issuer.handlers.signing import Signing
from issuer.handlers.solvers import Solvers
from issuer.handlers.wait_notices import WaitNotices
from issuer.handlers.worker import UPKEEP_S, Worker
from issuer.installed_solvers import BuiltSolver, built_solvers
from issuer.settings import OrderLossSettings, Settings
from issuer.signing_kinds import made

__all__ = ["create_app"]

_SERVICE: Final = Service.ISSUER
_MIGRATIONS: Final = Path(__file__).parent / "migrations"
_TAKE_JOBS: Final = "jobs"
_TAKING_ENDS_S: Final = 5.0
_TRY_JOURNAL_EVERY_S: Final = 1.0
_PRUNE_EVERY_S: Final = 3600.0
_LOOK_AT_LIMITS_EVERY_S: Final = 10.0
_TELL_LIMITS_EVERY_S: Final = 300.0
_EVENTS_AT_ONCE: Final = 32
_KEY_THREADS: Final = 2
"""For RSA keys alone: what is asked of a CA takes no thread."""
_WITHOUT_CA: Final = 32
"""Jobs that make keys, hand over or report: none of these waits for a CA."""


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
    signing_cas = made(settings.signing_cas)
    signing = Signing(cas=signing_cas, clock=system_clock)
    traits = {ca.name: ca.traits for ca in settings.cas}
    views = zones_by_view(settings.dns, now=time.monotonic)
    broker = make_broker(settings.bus, place=HUB, service=_SERVICE, telemetry=telemetry, metrics=metrics)
    publisher = EventPublisher(broker=broker, source=source(HUB, _SERVICE), clock=system_clock)
    reports = StatusStream(StatusReports(publisher=publisher, place=HUB, service=_SERVICE))
    registry = RegistryClient(settings.registry, transport=RegistryTransport(settings.registry))
    solvers = _solvers(settings, journal, views, registry)
    policy = CaPolicy(**settings.policy.model_dump())
    own_metrics = Metrics(registry=metrics)
    bulkheads = _bulkheads(settings, own_metrics)
    running = {built.rule.solver: built.solver for built in solvers}
    challenges = Challenges(
        journal=journal, solvers=Solvers(running=running, rules=[built.rule for built in solvers])
    )
    windows = WindowBook(database)
    budgets = Budgets(database=database, journal=journal, windows=windows, cas=_asked(settings), clock=system_clock)
    caa = CaaCheck(ResolvedCaa(next(iter(views.values())), now=time.monotonic))
    issuance = Issuance(
        journal=journal,
        watch=OrderWatch(
            cas=cas,
            journal=journal,
            clock=system_clock,
            patience=timedelta(seconds=settings.order_patience_s),
            evidence=_evidence(settings.order_loss),
        ),
        bulkheads=bulkheads,
        signing=signing,
        cas=traits,
        policy=policy,
        challenges=challenges,
        times=_challenge_times(settings, own_metrics),
        budgets=budgets,
        caa=caa,
        fallbacks=Fallbacks(bulkheads=bulkheads, caa=caa, cas=cas),
        hand_over=HandOver(registry=registry, clock=system_clock),
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
        challenges=challenges,
        bulkheads=bulkheads,
        turns=Turns(_WITHOUT_CA, {ca.name: ca.in_flight for ca in settings.acme_cas}),
        metrics=own_metrics,
        tracer=telemetry.tracer,
        clock=system_clock,
    )
    orders = IssueOrders(
        journal=journal, policy=policy, cas=traits, budgets=budgets, wake=worker.wake, clock=system_clock
    )
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
            bulkheads.findings,
            budgets.findings,
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
    background.add_round("budgets", _PRUNE_EVERY_S, budgets.prune)
    background.add_round("limits", _LOOK_AT_LIMITS_EVERY_S, budgets.look)
    tidying = Orphans(journal=journal, cas=cas, clock=system_clock)
    background.add_round("orphans", settings.orphans_every_s, tidying.tidy)
    suggestions = RenewalWindows(
        book=windows, cas=cas, reports=reports, registry=order_list.registry, clock=system_clock
    )
    background.add_round("renewal_windows", settings.renewal_windows_every_s, suggestions.look)
    told = _told(
        settings, database=database, bulkheads=bulkheads, reports=reports, orders=order_list, registry=registry
    )
    for name, every_s, tell in told:
        background.add_round(name, every_s, tell)
    crls = Crls(cas=publishing(signing_cas), book=CrlBook(database), clock=system_clock)
    background.add_round("crls", settings.crls_every_s, crls.keep_up)
    background.add_round("prune", _PRUNE_EVERY_S, Pruning(kept=kept, crls=crls, clock=system_clock).prune)
    heartbeat.keep_beating(background, every_s=settings.heartbeat_every_s)
    return service_app(
        broker,
        telemetry=telemetry,
        metrics=metrics,
        readiness=readiness,
        background=background,
        before=[partial(database.upgrade, _MIGRATIONS), *(ca.load_account for ca in cas.values())],
        resources=[_held(identity, executor), rsa_keys, database, registry, *cas.values(), *running.values()],
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
        for ca in settings.acme_cas
    }


def _asked(settings: Settings) -> list[AskedCa]:
    return [AskedCa(ca.name, ca.directory_url, ca.counted) for ca in settings.acme_cas]


def _bulkheads(settings: Settings, metrics: Metrics) -> Bulkheads:
    outage = settings.outage
    return Bulkheads(
        in_flight={ca.name: ca.in_flight for ca in settings.acme_cas},
        rule=BreakerRule(
            failures=outage.failures,
            first=timedelta(seconds=outage.first_pause_s),
            longest=timedelta(seconds=outage.longest_pause_s),
        ),
        patience=timedelta(seconds=outage.fallback_after_s),
        metrics=metrics,
        clock=system_clock,
    )


def _told(
    settings: Settings,
    *,
    database: JournalDatabase,
    bulkheads: Bulkheads,
    reports: StatusStream,
    orders: OrderList,
    registry: RegistryClient,
) -> Iterator[tuple[str, float, Work]]:
    """The rounds that tell the registry how things stand."""
    jobs, level = HeldUpJobs(database), orders.registry
    notices = WaitNotices(jobs=jobs, bulkheads=bulkheads, reports=reports, registry=level, clock=system_clock)
    yield "waits", settings.waits_every_s, notices.look
    used = LimitReports(database=database, cas=_asked(settings), registry=registry, clock=system_clock)
    yield "used_limits", _TELL_LIMITS_EVERY_S, used.tell


def _challenge_times(settings: Settings, metrics: Metrics) -> ChallengeTimes:
    kinds = {name: str(of_solver["kind"]) for name, of_solver in settings.solvers.items()}
    return ChallengeTimes(kinds=kinds, metrics=metrics, clock=system_clock)


def _evidence(settings: OrderLossSettings) -> Evidence:
    return Evidence(
        denials=settings.denials,
        over=timedelta(seconds=settings.over_s),
        over_after_finalize=timedelta(seconds=settings.over_after_finalize_s),
    )


def _solvers(
    settings: Settings, journal: Journal, views: Mapping[str, Zones], registry: RegistryClient
) -> list[BuiltSolver]:
    dns = AuthoritativeDnsViews(views, timeout_s=settings.dns.timeout_s)

    def context(name: str) -> SolverContext:
        return SolverContext(
            name=name,
            user_agent=f"certbus-issuer/{version('certbus-issuer')}",
            records_at=journal.records_at,
            dns=dns,
            sites=registry,
            clock=system_clock,
        )

    return built_solvers(settings.solvers, context)

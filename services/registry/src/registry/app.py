"""The registry, put together: the only place that builds its objects."""

import platform
import uuid
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final

import structlog
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from certcore.clock import system_clock
from certcore.door import RequestDoor
from certcore.identities import HUB, Service
from certcore.plugins import load_target_kinds
from certcore.targets import TargetKinds
from certkit.background import Background
from certkit.bus import make_broker
from certkit.database import folder_of
from certkit.health import service_readiness
from certkit.service import health_routes
from certkit.standstill import Standstill
from certkit.streams import Streams
from certkit.telemetry import configure_telemetry
from certkit.transactions import Database
from registry.adapters.bus_state import BusWatch
from registry.adapters.jetstream import JetStream
from registry.adapters.leadership import Leadership, Work
from registry.adapters.outbox import Bell, Outbox
from registry.adapters.policy_file import PolicyFile
from registry.adapters.relay import Relay
from registry.adapters.store import Store
from registry.consuming import discovery_of, report_handlers
from registry.handlers.alarms import Alarms
from registry.handlers.approval_watch import ApprovalWatch
from registry.handlers.backup_watch import BackupWatch
from registry.handlers.bundles import Bundles
from registry.handlers.certificate_list import KeptSummaries
from registry.handlers.challenges import Challenges
from registry.handlers.changes import Changes
from registry.handlers.deployments import Deployments
from registry.handlers.feed import Feed
from registry.handlers.first_token import make_first_token
from registry.handlers.forecasts import Forecasts
from registry.handlers.health import HealthSweep
from registry.handlers.http.alerts_api import alerts_router
from registry.handlers.http.application import http_application, with_routes
from registry.handlers.http.asking import asking_routers
from registry.handlers.http.audit_api import audit_router
from registry.handlers.http.auth import Authenticator, hash_token, new_token
from registry.handlers.http.certificates_api import certificates_router
from registry.handlers.http.challenges_api import challenges_router
from registry.handlers.http.events_api import events_router
from registry.handlers.http.followed import Followed
from registry.handlers.http.forecasts_api import forecasts_router
from registry.handlers.http.heartbeats_api import heartbeats_router
from registry.handlers.http.issued_api import issued_router
from registry.handlers.http.limits import Limits
from registry.handlers.http.policy_api import policy_router
from registry.handlers.http.reseals_api import reseals_router
from registry.handlers.http.rights_api import rights_router
from registry.handlers.http.services_api import services_router
from registry.handlers.http.sites_api import sites_router
from registry.handlers.http.tokens_api import tokens_router
from registry.handlers.http.whoami_api import whoami_router
from registry.handlers.intake import Intake
from registry.handlers.logins import Logins
from registry.handlers.policies import Policies
from registry.handlers.renewal_plans import RenewalPlans
from registry.handlers.renewal_watch import RenewalWatch
from registry.handlers.renewals import Renewals
from registry.handlers.replay import Replays
from registry.handlers.reports.once import Once
from registry.handlers.reports.sites import SiteReports
from registry.handlers.requests import Requests
from registry.handlers.resealing import Resealing
from registry.handlers.reviews import Reviews
from registry.handlers.rights import Rights
from registry.handlers.rights_changes import RightsChanges
from registry.handlers.second_admin import SecondAdmin
from registry.handlers.stream_watch import StreamWatch
from registry.handlers.tokens import Tokens
from registry.handlers.upkeep import Upkeep
from registry.handlers.watch import Watch
from registry.handlers.web.page import page_router
from registry.restoring import restoration_of
from registry.settings import Settings
from registry.single_sign_on import single_sign_on

__all__ = ["MIGRATIONS", "create_app"]

log = structlog.get_logger()

MIGRATIONS: Final = Path(__file__).parent / "migrations"
_UPKEEP_S: Final = 3600.0
_CHALLENGES_EVERY_S: Final = 15.0
_STREAMS_EVERY_S: Final = 15.0
_POLICY_EVERY_S: Final = 15.0
_LATE_EVERY_S: Final = 60.0
_BACKUPS_EVERY_S: Final = 60.0


def create_app(settings: Settings) -> FastAPI:
    telemetry, metrics = configure_telemetry("registry", settings.telemetry), CollectorRegistry()
    store = Store(database := Database(settings.database_url, metrics=metrics))
    bell, standstill, outbox = Bell(), Standstill(), Outbox(clock=system_clock, new_id=_new_id)
    background = Background(service=Service.REGISTRY, metrics=metrics, clock=system_clock)
    broker = make_broker(settings.bus, place=HUB, service=Service.REGISTRY, telemetry=telemetry, metrics=metrics)
    door = RequestDoor(load_target_kinds())
    policies, signing_on = _policies(settings, store, door.kinds), single_sign_on(settings, store, system_clock)
    jetstream, changes = JetStream(broker=broker), Changes(outbox=outbox, policies=policies, clock=system_clock)
    requests = Requests(
        store=store,
        changes=changes,
        clock=system_clock,
        new_id=_new_id,
        tracer=telemetry.tracer,
        door=door,
        policies=policies,
    )
    renewals = Renewals(
        store=store,
        changes=changes,
        policies=policies,
        bell=bell,
        clock=system_clock,
        tracer=telemetry.tracer,
    )
    resealing = Resealing(store=store, changes=changes, bell=bell, clock=system_clock)
    challenges = Challenges(store=store, outbox=outbox, bell=bell, clock=system_clock)
    once, leadership = (
        Once(store=store, bell=bell, clock=system_clock),
        Leadership(settings.database_url, metrics=metrics),
    )
    levels, reviews = Deployments(changes=changes), Reviews(store=store, clock=system_clock)
    site_reports = SiteReports(
        once=once,
        deployments=levels,
        reviews=reviews,
        clock=system_clock,
        stood_still_after=timedelta(seconds=settings.stood_still_after_s),
    )
    reports = report_handlers(once, changes, site_reports)
    intake = Intake(store=store, requests=requests, door=door, outbox=outbox, bell=bell, clock=system_clock)
    alarms, feed = Alarms(outbox=outbox, clock=system_clock), Feed(store=store, bell=bell)
    watch = Watch(
        store=store,
        alarms=alarms,
        bell=bell,
        bus=BusWatch(broker),
        standstill=standstill,
        clock=system_clock,
        patience=settings.patience(),
        leads=leadership.leads,
    )
    discovery = discovery_of(broker, settings.bus.identity, reports, intake)

    anchoring, restoration, auditing = restoration_of(
        store=store,
        changes=changes,
        bell=bell,
        broker=broker,
        reports=reports,
        door=door,
        alarms=alarms,
        folder=settings.state_folder,
        new_id=_new_id,
    )
    relay = Relay(
        store=store, jetstream=jetstream, bell=bell, clock=system_clock, tracer=telemetry.tracer, metrics=metrics
    )
    streams = StreamWatch(store=store, jetstream=jetstream, relay=relay, alarms=alarms, bell=bell, clock=system_clock)
    loops = {
        "leadership": leadership.run,
        "discovery": discovery.run,
        "relay": leadership.loop(relay.run),
        "stream_watch": leadership.loop(streams.run),
        "feed": feed.run,
        "standstill": standstill.run,
    }
    for name, loop in loops.items():
        background.add(name, loop)
    (tokens, second_admin), logins = (
        _tokens(store, policies),
        Logins(store=store, clock=system_clock, metrics=metrics, longest_delay_s=settings.failed_login_delay_s),
    )
    for name, every_s, work in (
        ("logins", settings.logins_every_s, logins.keep),
        ("renewals", settings.renewal_sweep_every_s, leadership.round(renewals.sweep)),
        ("policy", _POLICY_EVERY_S, policies.look),
        *_of_renewals(store, policies, alarms, bell, leadership.round),
        ("expiry", settings.renewal_sweep_every_s, leadership.round(requests.expire)),
        (
            "approvals",
            settings.renewal_sweep_every_s,
            leadership.round(ApprovalWatch(store=store, alarms=alarms, bell=bell, clock=system_clock).look),
        ),
        ("rights", settings.renewal_sweep_every_s, leadership.round(second_admin.expire)),
        ("reseals", settings.renewal_sweep_every_s, leadership.round(resealing.sweep)),
        ("challenges", _CHALLENGES_EVERY_S, leadership.round(challenges.sweep)),
        ("upkeep", _UPKEEP_S, leadership.round(Upkeep(store=store, clock=system_clock).prune)),
        (
            "health",
            settings.health_sweep_every_s,
            leadership.round(HealthSweep(store=store, changes=changes, bell=bell, clock=system_clock).sweep),
        ),
        ("streams", _STREAMS_EVERY_S, Streams(broker=broker, metrics=metrics).look),
        ("anchor", settings.anchor_every_s, leadership.round(anchoring.anchor)),
        ("watch", settings.watch_every_s, watch.look),
        *signing_on.rounds,
        ("backups", _BACKUPS_EVERY_S, leadership.round(_backup_watch(settings, store, alarms, bell).look)),
    ):
        background.add_round(name, every_s, work)
    readiness = service_readiness(
        broker=broker,
        bus=settings.bus,
        background=background,
        metrics=metrics,
        clock=system_clock,
        checks=[
            leadership.findings,
            discovery.findings,
            relay.findings,
            restoration.findings,
            policies.findings,
            *signing_on.checks,
        ],
        folders=[settings.state_folder, folder_of(settings.database_url)],
        listener=watch,
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.callback(telemetry.provider.shutdown)
            stack.push_async_callback(database.close)
            await database.upgrade(MIGRATIONS)
            await stack.enter_async_context(
                watch.running(platform.node(), failed=lambda: background.gave_up is not None)
            )
            await policies.load()
            await make_first_token(store, settings.state_folder, clock=system_clock)
            await stack.enter_async_context(broker)
            await broker.start()
            # Before anything is decided, read or published.
            await restoration.begin()
            stack.push_async_callback(leadership.close)
            stack.push_async_callback(logins.keep_at_the_end)
            stack.push_async_callback(anchoring.anchor_at_the_end)
            stack.push_async_callback(background.stop)
            await background.start()
            log.info("registry_started", url=settings.http.url)
            yield

    app = http_application(
        lifespan, telemetry, leave=bell.silence, limits=Limits(settings.limits.rates(), metrics=metrics)
    )
    app.state.authenticator = authenticator = Authenticator(
        store=store,
        clock=system_clock,
        logins=logins,
        rights=Rights(policies=policies, issuer=settings.oidc_issuer),
    )
    app.state.gave_up = lambda: background.gave_up
    routers = (
        *asking_routers(store=store, requests=requests, renewals=renewals, door=door, bell=bell, clock=system_clock),
        policy_router(store=store, requests=requests, door=door),
        certificates_router(store=store, kept=KeptSummaries()),
        sites_router(store=store, reviews=reviews, clock=system_clock, enrolled=discovery.look_soon),
        tokens_router(store=store, tokens=tokens, clock=system_clock),
        rights_router(store=store, second_admin=second_admin, clock=system_clock),
        services_router(
            store=store,
            bundles=Bundles(store=store, changes=changes, bell=bell, clock=system_clock),
            levels=levels,
            clock=system_clock,
        ),
        reseals_router(resealing=resealing),
        heartbeats_router(store=store, reports=site_reports),
        challenges_router(store=store, challenges=challenges),
        alerts_router(store=store),
        audit_router(store=store, reading=auditing),
        issued_router(restoration=restoration),
        forecasts_router(forecasts=Forecasts(store=store, clock=system_clock)),
        events_router(
            followed=Followed(store=store, feed=feed, bell=bell, authenticator=authenticator, clock=system_clock),
            replays=Replays(store=store, bell=bell, clock=system_clock),
        ),
        whoami_router(store=store),
        page_router(store=store, authenticator=authenticator, clock=system_clock, provider=signing_on.offered),
        *signing_on.routers(authenticator),
    )
    return with_routes(app, routers, health_routes(readiness=readiness, metrics=metrics))


def _of_renewals(
    store: Store, policies: Policies, alarms: Alarms, bell: Bell, alone: Callable[[Work], Work]
) -> Iterable[tuple[str, float, Work]]:
    plans = RenewalPlans(store=store, policies=policies, bell=bell, clock=system_clock)
    late = RenewalWatch(store=store, alarms=alarms, bell=bell, clock=system_clock)
    yield "plans", _POLICY_EVERY_S, alone(plans.look)
    yield "late_renewals", _LATE_EVERY_S, alone(late.look)


def _policies(settings: Settings, store: Store, kinds: TargetKinds) -> Policies:
    file = PolicyFile(settings.policy_file, kinds) if settings.policy_file is not None else None
    return Policies(store=store, clock=system_clock, file=file)


def _tokens(store: Store, policies: Policies) -> tuple[Tokens, SecondAdmin]:
    changes = RightsChanges(policies=policies, new_id=_new_id)
    tokens = Tokens(store=store, changes=changes, clock=system_clock, new_token=new_token, hash_token=hash_token)
    return tokens, SecondAdmin(store=store, tokens=tokens, clock=system_clock)


def _backup_watch(settings: Settings, store: Store, alarms: Alarms, bell: Bell) -> BackupWatch:
    most = timedelta(seconds=settings.backup_max_age_s)
    return BackupWatch(settings.backup_folder, most=most, store=store, alarms=alarms, bell=bell, clock=system_clock)


def _new_id() -> str:
    return str(uuid.uuid4())

"""Builds the syncer of one site: everything that lives as long as the process."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Final

from faststream.asgi import AsgiFastStream
from faststream.nats import NatsBroker
from prometheus_client import CollectorRegistry

from certcore import subjects
from certcore.clock import system_clock
from certcore.events import DeploymentOrdered
from certcore.identities import Service, durable, identity, source
from certcore.sealing import RecipientKey
from certkit.bus import EventPublisher, make_broker, subscribe
from certkit.registry_client import RegistryClient
from certkit.reports import StatusReports
from certkit.service import Readiness, health_routes
from certkit.telemetry import configure_telemetry
from syncer.adapters.bundles import Bundles
from syncer.adapters.files_target import FileStore
from syncer.adapters.reports import Reports
from syncer.domain.placement import Place, PlaceKind
from syncer.domain.target import Target
from syncer.handlers.delivery import Delivery
from syncer.handlers.deployments import DeploymentHandlers
from syncer.handlers.metrics import Metrics
from syncer.handlers.rounds import Round, Rounds
from syncer.handlers.site_review import Lister, SiteReview
from syncer.settings import ClusterSettings, SyncerSettings

__all__ = ["create_app"]

_SERVICE: Final = Service.SYNCER


def create_app(settings: SyncerSettings) -> AsgiFastStream:
    """The application; nothing is connected before it is started."""
    name = identity(settings.site, _SERVICE)
    telemetry = configure_telemetry(name, settings.telemetry)
    collectors = CollectorRegistry()
    metrics = Metrics(collectors)
    broker = make_broker(settings.bus, place=settings.site, service=name, telemetry=telemetry, metrics=collectors)
    publisher = EventPublisher(broker=broker, source=source(settings.site, _SERVICE), clock=system_clock)
    reports = Reports(
        reports=StatusReports(publisher=publisher, place=settings.site, service=_SERVICE),
        site=settings.site,
        version=_version(),
        clusters=[cluster.name for cluster in settings.clusters],
    )
    registry = RegistryClient(settings.registry)
    key = RecipientKey.load(settings.recipient.name, settings.recipient.key_file)
    targets: dict[Place, Target] = {
        Place(PlaceKind.STORE, name): FileStore(name=name, directory=store.directory, reload=store.reload)
        for name, store in settings.stores.items()
    }
    listers: dict[str, Lister] = {}
    for cluster in settings.clusters:
        targets[Place(PlaceKind.CLUSTER, cluster.name)], listers[cluster.name] = _cluster(cluster)
    handlers = DeploymentHandlers(
        registry=registry,
        targets=targets,
        delivery=Delivery(
            site=settings.site,
            targets=targets,
            bundles=Bundles(registry=registry, key=key),
            reports=reports,
            tracer=telemetry.tracer,
            metrics=metrics,
            clock=system_clock,
            jitter=random.random,
        ),
        metrics=metrics,
        clock=system_clock,
    )
    subscribe(
        broker,
        stream=subjects.deploy_stream(settings.site),
        durable=durable(settings.site, _SERVICE),
        identity=settings.bus.identity,
        handlers={DeploymentOrdered: handlers.on_ordered},
    )
    rounds = Rounds(
        Round("reconcile", settings.reconcile_every_s, handlers.reconcile),
        Round("review", settings.review_every_s, SiteReview(listers=listers, reports=reports).review),
        Round("heartbeat", settings.heartbeat_every_s, reports.heartbeat),
    )

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        async with registry:
            yield
        telemetry.provider.shutdown()

    return AsgiFastStream(
        broker,
        logger=None,
        lifespan=lifespan,
        asgi_routes=health_routes(readiness=_readiness(broker, handlers), metrics=collectors),
        after_startup=[rounds.start],
        on_shutdown=[rounds.stop, handlers.close],
    )


def _cluster(settings: ClusterSettings) -> tuple[Target, Lister]:
    # Imported here: it costs a second and 40 MB, which a host that only has files need not pay.
    from syncer.adapters.kubernetes_api import ClusterApi  # noqa: PLC0415 # see above
    from syncer.adapters.kubernetes_review import discovered_secrets  # noqa: PLC0415 # see above
    from syncer.adapters.kubernetes_target import KubernetesCluster  # noqa: PLC0415 # see above

    api = ClusterApi(
        name=settings.name,
        kubeconfig=settings.kubeconfig,
        context=settings.context,
        user_agent=f"certbus-{_SERVICE}/{_version()}",
    )
    return KubernetesCluster(api=api), lambda: discovered_secrets(api)


def _version() -> str:
    return version("certbus-syncer")


def _readiness(broker: NatsBroker, handlers: DeploymentHandlers) -> Readiness:
    async def readiness() -> str | None:
        if not await broker.ping(timeout=1.0):
            return "the bus can't be reached"
        return handlers.not_read

    return readiness

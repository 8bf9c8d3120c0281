"""Builds the delivery engine from the parts that `app.py` of a service passes in."""

import random
from collections.abc import Callable, Mapping
from typing import Protocol

from opentelemetry.trace import Tracer
from prometheus_client import CollectorRegistry

from certcore.clock import Clock
from certcore.events import CsrWanted, DeploymentOrdered, DeploymentOrderedV1, Event
from certcore.sealing import RecipientKey
from certdelivery.bundles import Bundles, BundleSource
from certdelivery.csr_offers import CsrOffers, CsrSource
from certdelivery.delivery import Delivery
from certdelivery.deployments import PATIENCE_S, Deployments, OrderSource
from certdelivery.metrics import Metrics
from certdelivery.model import Destination
from certdelivery.reports import Reports
from certdelivery.target import AnyDriver, TargetPort
from certkit.bus import Handler, upgrading

__all__ = ["Engine", "Registry"]


class Registry(BundleSource, CsrSource, OrderSource, Protocol):
    """As `certkit.registry_client.RegistryClient`."""


class Engine:
    def __init__(
        self,
        *,
        place: str,
        drivers: Mapping[str, AnyDriver],
        ports: Mapping[Destination, TargetPort],
        registry: Registry,
        key: RecipientKey,
        reports: Reports,
        tracer: Tracer,
        metrics: CollectorRegistry,
        clock: Clock,
        jitter: Callable[[], float] = random.random,
        patience_s: float = PATIENCE_S,
    ) -> None:
        named = Metrics(metrics)
        delivery = Delivery(
            place=place,
            ports=ports,
            bundles=Bundles(source=registry, key=key),
            reports=reports,
            tracer=tracer,
            metrics=named,
            clock=clock,
            jitter=jitter,
        )
        self._deployments = Deployments(
            place=place,
            source=registry,
            drivers=drivers,
            ports=ports,
            delivery=delivery,
            metrics=named,
            clock=clock,
            jitter=jitter,
            patience_s=patience_s,
        )
        self._csrs = CsrOffers(source=registry, drivers=drivers, ports=ports, reports=reports)

    @property
    def handlers(self) -> Mapping[type[Event], Handler]:
        """What is consumed of DEPLOY_<place>."""
        return {
            DeploymentOrdered: self._deployments.on_ordered,
            DeploymentOrderedV1: upgrading(self._deployments.on_ordered),
            CsrWanted: self._csrs.on_wanted,
        }

    async def reconcile(self) -> None:
        """A round, see `Deployments.reconcile`. Signing requests are offered even if the orders can't be read."""
        try:
            await self._deployments.reconcile()
        finally:
            await self._csrs.reconcile()

    def not_ready(self) -> str | None:
        return self._deployments.not_read

    async def close(self) -> None:
        await self._deployments.close()

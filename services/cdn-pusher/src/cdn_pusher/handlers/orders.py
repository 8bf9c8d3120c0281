"""Orders come by events and, all of them, by the registry's API; either way the same thing happens."""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta

import structlog

from cdn_pusher.domain.agenda import Item, News
from cdn_pusher.domain.errors import DeliveryError
from cdn_pusher.handlers.delivery import Deliverer
from cdn_pusher.handlers.reports import Reports
from certcore.clock import Clock
from certcore.cloudevents import Envelope
from certcore.errors import PermanentError, TransientError
from certcore.events import DeliveryReason, DeploymentOrdered
from certcore.targets import HaproxyTarget
from certkit.registry_client import RegistryClient
from certkit.telemetry import current_traceparent

__all__ = ["Orders"]

log = structlog.get_logger()


class Orders:
    """Hands each order to the load balancer that it names."""

    def __init__(
        self,
        *,
        deliverers: Mapping[str, Deliverer],
        registry: RegistryClient,
        reports: Reports,
        clock: Clock,
        reconcile_every: timedelta,
    ) -> None:
        self._deliverers = deliverers
        self._registry = registry
        self._reports = reports
        self._clock = clock
        self._reconcile_every = reconcile_every
        self._refused: dict[tuple[str, str], int] = {}
        self.read_once = False

    async def on_deployment_ordered(self, order: DeploymentOrdered, _: Envelope) -> None:
        await self._want(order, traceparent=current_traceparent(), told_again=True)

    async def reconcile(self) -> None:
        """Take all orders of the registry in; what is no longer ordered is left where it is, and let alone.

        Raises:
            TransientError: the registry or the bus can't be reached.
            PermanentError: the registry's answer can't be read.
        """
        asked_at = self._clock()
        orders = await self._registry.deployments()
        for order in orders:
            await self._want(order, traceparent=None, told_again=False)
        self._forget_all_but(orders, asked_at)
        self.read_once = True

    async def keep_reconciling(self) -> None:
        pause = 1.0
        while True:
            try:
                await self.reconcile()
                pause = self._reconcile_every.total_seconds()
            except (TransientError, PermanentError) as error:
                log.warning("orders_not_read", error=str(error))
                pause = min(pause * 2, self._reconcile_every.total_seconds())
            await asyncio.sleep(pause)

    async def _want(self, order: DeploymentOrdered, *, traceparent: str | None, told_again: bool) -> None:
        for target in order.targets:
            if not isinstance(target, HaproxyTarget):
                continue
            deliverer = self._deliverers.get(target.instance)
            if deliverer is None:
                await self._refuse(order, target, told_again=told_again)
                continue
            news = deliverer.agenda.want(
                order, target.name, now=self._clock(), traceparent=traceparent, told_again=told_again
            )
            if news in {News.NEW, News.CHANGED}:
                deliverer.wake()
            if news is not News.KNOWN:
                log.info(
                    "deployment_ordered",
                    certificate=order.name,
                    revision=order.revision,
                    target=target.name,
                    news=news,
                )

    async def _refuse(self, order: DeploymentOrdered, target: HaproxyTarget, *, told_again: bool) -> None:
        """Say once for each revision that the place isn't known: only other settings or another order help."""
        key = (order.certificate_id, target.name)
        if self._refused.get(key, 0) >= order.revision and not told_again:
            return
        error = DeliveryError(DeliveryReason.UNKNOWN_PLACE, f"no instance {target.instance} in the settings")
        log.warning("order_refused", certificate=order.name, target=target.name, detail=error.detail)
        now = self._clock()
        item = Item(order, target.name, due=now, ordered_at=now)
        await self._reports.failed(item, error, next_try=None)
        self._refused[key] = order.revision

    def _forget_all_but(self, orders: list[DeploymentOrdered], asked_at: datetime) -> None:
        for instance, deliverer in self._deliverers.items():
            keys = {
                (order.certificate_id, target.name)
                for order in orders
                for target in order.targets
                if isinstance(target, HaproxyTarget) and target.instance == instance
            }
            for item in deliverer.agenda.keep_only(keys, ordered_before=asked_at):
                log.info("order_withdrawn", certificate=item.order.name, target=item.target, instance=instance)

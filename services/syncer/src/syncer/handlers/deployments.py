"""What the syncer does about orders: an event or a round only says "look again"."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping

import structlog
from opentelemetry import context
from opentelemetry.context import Context

from certcore.clock import Clock
from certcore.cloudevents import Envelope
from certcore.errors import CertbusError
from certcore.events import DeploymentOrdered
from certkit.registry_client import RegistryClient
from certkit.telemetry import parent_of
from syncer.domain.orders import Standing, standing
from syncer.domain.placement import Place, PlaceKind, placement
from syncer.domain.target import Target
from syncer.handlers.delivery import Delivery
from syncer.handlers.lanes import Lanes
from syncer.handlers.metrics import Metrics
from syncer.handlers.rollout import Job, Rollout, TargetRecord

__all__ = ["DeploymentHandlers"]

log = structlog.get_logger()


class DeploymentHandlers:
    def __init__(
        self,
        *,
        registry: RegistryClient,
        targets: Mapping[Place, Target],
        delivery: Delivery,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._registry = registry
        self._targets = targets
        self._clusters = {place.name for place in targets if place.kind is PlaceKind.CLUSTER}
        self._stores = {place.name for place in targets if place.kind is PlaceKind.STORE}
        self._delivery = delivery
        self._lanes = Lanes(work=delivery.bring)
        self._metrics = metrics
        self._clock = clock
        self._rollouts: dict[str, Rollout] = {}
        self.not_read: str | None = "the deployments were not read yet"
        """Why the wanted state was never read; None from the first time that it was."""

    async def on_ordered(self, order: DeploymentOrdered, _: Envelope) -> None:
        """Acknowledged as soon as it is known: what a crash forgets, the next start reads from the registry."""
        rollout, how = self._known(order)
        if how is not Standing.OLDER:
            await self._tell_unplaced(rollout)
            for job in rollout.jobs(context.get_current()):
                self._lanes.offer(job, urgent=how.urgent)

    async def reconcile(self) -> None:
        """Look at every target of the site: what no event announced, and what somebody changed since.

        Without the registry it goes on with the orders that it knows.

        Raises:
            TransientError: after that, as the registry should be asked again soon.
            PermanentError: likewise, where its answer can't be read.
        """
        before = set(self._rollouts)
        urgent: set[str] = set()
        unread: CertbusError | None = None
        try:
            orders = await self._registry.deployments()
        except CertbusError as error:
            unread = error
        else:
            urgent = {order.certificate_id for order in orders if self._known(order)[1].urgent}
            self._forget(before - {order.certificate_id for order in orders})
            self._metrics.reconciled(self._clock())
            self.not_read = None
        finally:
            # Only now, so that of the orders that waited meanwhile none is delivered but the newest.
            self._lanes.open()
        jobs: dict[Place, list[Job]] = defaultdict(list)
        for rollout in list(self._rollouts.values()):
            await self._tell_unplaced(rollout)
            for job in rollout.jobs(parent_of(rollout.order.traceparent)):
                if job.order.certificate_id in urgent:
                    self._lanes.offer(job, urgent=True)
                else:
                    jobs[job.place].append(job)
        await asyncio.gather(*(self._look_again(place, jobs[place]) for place in jobs))
        if unread is not None:
            raise unread

    async def close(self) -> None:
        """Finish what was begun; nothing new is taken."""
        await self._lanes.close()
        for target in self._targets.values():
            await target.close()

    def _known(self, order: DeploymentOrdered) -> tuple[Rollout, Standing]:
        """The rollout that counts for the order's certificate, from now on."""
        known = self._rollouts.get(order.certificate_id)
        how = standing(known.order if known else None, order)
        self._metrics.ordered(how)
        if known is not None and not how.urgent:
            if how is Standing.OLDER:
                log.info("order_ignored", certificate=order.name, revision=order.revision, known=known.order.revision)
            return known, how
        records = [
            TargetRecord.of(placement(target, clusters=self._clusters, stores=self._stores))
            for target in order.targets
        ]
        rollout = Rollout(order, {record.placement.target.name: record for record in records})
        self._rollouts[order.certificate_id] = rollout
        self._lanes.keep(order.certificate_id, {job.key for job in rollout.jobs(Context())})
        log.info("order_taken", certificate=order.name, revision=order.revision, standing=str(how))
        return rollout, how

    def _forget(self, certificate_ids: set[str]) -> None:
        # What lies at the targets stays: that an order is gone says nothing about them.
        for certificate_id in certificate_ids:
            rollout = self._rollouts.pop(certificate_id)
            self._lanes.keep(certificate_id, ())
            log.info("order_gone", certificate=rollout.order.name)

    async def _tell_unplaced(self, rollout: Rollout) -> None:
        for record in rollout.targets.values():
            if record.placement.unknown is not None:
                await self._delivery.tell(rollout, record)

    async def _look_again(self, place: Place, jobs: list[Job]) -> None:
        await self._targets[place].refresh()
        for job in jobs:
            # Meanwhile an event may have brought a newer order.
            if self._rollouts.get(job.order.certificate_id) is job.rollout:
                self._lanes.offer(job, urgent=False)

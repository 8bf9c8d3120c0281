"""What is done about orders: an event or a round only triggers a comparison with what is there."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from typing import Final, Protocol

import structlog
from opentelemetry import context
from opentelemetry.context import Context

from certcore.clock import Clock
from certcore.cloudevents import Envelope
from certcore.errors import CertbusError
from certcore.events import DeploymentOrdered
from certdelivery.delivery import Delivery
from certdelivery.lanes import Lanes
from certdelivery.metrics import Metrics
from certdelivery.model import Destination
from certdelivery.orders import Standing, standing
from certdelivery.placements import Key, Placement, placements_of, reportable
from certdelivery.records import Job, Record
from certdelivery.rollup import Holds, HoldsNewer, rollup
from certdelivery.target import AnyDriver, TargetPort
from certkit.failure_policy import describe
from certkit.registry_client import Listed
from certkit.telemetry import parent_of

__all__ = ["PATIENCE_S", "Deployments", "OrderSource"]

log = structlog.get_logger()


PATIENCE_S: Final = 10.0
"""At the start, what events order waits so long for the registry's answer."""


class OrderSource(Protocol):
    async def deployments(self) -> Listed[DeploymentOrdered]:
        """Everything that this place and service should hold.

        Raises:
            TransientError: the registry can't be reached or failed.
            PermanentError: the answer can't be read.
        """


class Deployments:
    """Keeps each placement's newest order, and hands its work to the lanes."""

    def __init__(
        self,
        *,
        place: str,
        source: OrderSource,
        drivers: Mapping[str, AnyDriver],
        ports: Mapping[Destination, TargetPort],
        delivery: Delivery,
        metrics: Metrics,
        clock: Clock,
        jitter: Callable[[], float],
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._place = place
        self._source = source
        self._drivers = drivers
        self._ports = ports
        self._configured: dict[str, list[str]] = defaultdict(list)
        for destination in ports:
            self._configured[destination.kind].append(destination.name)
        self._delivery = delivery
        self._lanes = Lanes(
            work=delivery.bring, at_once=self._at_once, jitter=jitter, out_of_reach=self._out_of_reach
        )
        self._metrics = metrics
        self._clock = clock
        self._patience_s = patience_s
        self._records: dict[Key, Record] = {}
        self.not_read: str | None = "the deployments were not read yet"
        """Why the deployments were not read yet; None once they were."""

    async def on_ordered(self, order: DeploymentOrdered, _: Envelope) -> None:
        """Acknowledged as soon as it is in memory: after a crash all orders are read from the registry again."""
        for placement in self._placements(order):
            record, how = self._known(placement)
            match how:
                case Standing.OLDER:
                    continue
                case Standing.SAME:
                    await self._report_again(record)
                case _:
                    await self._report_whole(record)
            self._offer(record, context.get_current(), urgent=how.urgent)

    async def reconcile(self) -> None:
        """Compare every placement with its target, for missed events and for changes made by others.

        Without the registry it goes on with the orders received before, and where a part of the registry's answer
        can't be read, with those that the rest doesn't name.

        Raises:
            TransientError: after the comparison, if the registry couldn't be reached: try again soon.
            PermanentError: likewise, where its answer can't be read.
        """
        before = dict(self._records)
        news: set[Key] = set()
        unread: CertbusError | None = None
        patience = asyncio.get_running_loop().call_later(self._patience_s, self._lanes.open)
        try:
            listed = await self._source.deployments()
        except CertbusError as error:
            unread = error
        else:
            offered = [placement for order in listed.items for placement in self._placements(order)]
            news = {placement.key for placement in offered if self._known(placement)[1].urgent}
            if listed.complete:
                self._forget(before, {placement.key for placement in offered})
            self._metrics.read(self._clock())
            self.not_read = None
        finally:
            patience.cancel()
            # Only now, so that of the orders that arrived meanwhile only the newest is delivered.
            self._lanes.open()
        await self._look_again(news)
        if unread is not None:
            raise unread

    async def close(self) -> None:
        """Finish the deliveries that are under way; nothing new is accepted."""
        await self._lanes.close()
        for destination, port in self._ports.items():
            try:
                await port.close()
            except Exception as error:  # noqa: BLE001 # drivers come from other packages: the others are closed too
                log.warning("not_closed", destination=str(destination), error=describe(error))

    def _placements(self, order: DeploymentOrdered) -> tuple[Placement, ...]:
        if not reportable(order.certificate_id):
            self._metrics.refused(order.type)
            log.error(
                "order_refused", certificate_id=order.certificate_id[:80], problem="it is no id of a certificate"
            )
            return ()
        return placements_of(order, place=self._place, drivers=self._drivers, configured=self._configured)

    def _known(self, offered: Placement) -> tuple[Record, Standing]:
        """The record of the newest order for the placement, and how the offered order stands to the former one."""
        known = self._records.get(offered.key)
        how = standing(known.placement if known else None, offered)
        self._metrics.ordered(how)
        if known is not None and not how.urgent:
            if how is Standing.OLDER:
                log.info("order_ignored", **_facts(offered), known=known.placement.generation)
            return known, how
        record = self._records[offered.key] = Record.of(offered)
        self._lanes.keep(offered.key, {job.key for job in record.jobs(Context())})
        log.info("order_taken", **_facts(offered), standing=str(how))
        if offered.asked is None:
            log.error("order_refused", **_facts(offered), problem=offered.failures[0].detail)
        return record, how

    async def _report_again(self, record: Record) -> None:
        """The registry ordered the same again, so it misses the report."""
        record.reported = None
        # What holds is reported after the comparison that is offered now; the rest may have to wait for its next try.
        if not isinstance(rollup(record.outcomes, record.placement.failures), Holds | HoldsNewer):
            await self._delivery.report(record)

    async def _report_whole(self, record: Record) -> None:
        if record.placement.failures:
            await self._delivery.report(record)

    def _offer(self, record: Record, parent: Context, *, urgent: bool) -> None:
        for job in record.jobs(parent):
            self._lanes.offer(job, urgent=urgent)

    def _forget(self, before: Mapping[Key, Record], ordered: Collection[Key]) -> None:
        # The destinations are left as they are: only a withdrawal removes something.
        for key, record in before.items():
            if key not in ordered and self._records.get(key) is record:
                del self._records[key]
                self._lanes.keep(key, ())
                log.info("order_gone", **_facts(record.placement))

    async def _look_again(self, news: Collection[Key]) -> None:
        jobs: dict[Destination, list[Job]] = defaultdict(list)
        for key, record in list(self._records.items()):
            await self._report_whole(record)
            parent = parent_of(record.placement.traceparent)
            if key in news:
                self._offer(record, parent, urgent=True)
                continue
            for job in record.jobs(parent):
                jobs[job.destination].append(job)
        await asyncio.gather(*(self._look_again_at(destination, jobs[destination]) for destination in jobs))

    async def _look_again_at(self, destination: Destination, jobs: list[Job]) -> None:
        try:
            await self._ports[destination].refresh()
        except Exception as error:  # noqa: BLE001 # drivers come from other packages: the round goes on
            log.warning("not_refreshed", destination=str(destination), error=describe(error))
        for job in jobs:
            # An event may have replaced the order meanwhile.
            if self._records.get(job.placement.key) is job.record:
                self._lanes.offer(job, urgent=False)

    def _out_of_reach(self, destination: Destination, out: bool) -> None:  # noqa: FBT001 # the form that lanes ask for
        self._metrics.out_of_reach(destination, out)
        log.warning("destination_out_of_reach" if out else "destination_back", destination=str(destination))

    def _at_once(self, destination: Destination) -> int:
        return self._drivers[destination.kind].at_once


def _facts(placement: Placement) -> dict[str, str | int]:
    return {
        "certificate": placement.name,
        "target": placement.target,
        "generation": placement.generation,
        "revision": placement.revision,
    }

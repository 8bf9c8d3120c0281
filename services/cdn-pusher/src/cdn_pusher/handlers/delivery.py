"""One load balancer's deliveries, one after the other: look, fetch, push, prove, tell."""

import asyncio
import random
from collections.abc import Callable
from datetime import timedelta

import structlog
from opentelemetry.trace import Tracer
from prometheus_client import Counter

from cdn_pusher.adapters.haproxy import HaproxyInstance
from cdn_pusher.domain.agenda import Agenda, Item
from cdn_pusher.domain.decision import Decision, Wanted
from cdn_pusher.domain.errors import DeliveryError
from cdn_pusher.domain.pem import HaproxyPem, normal_pem
from cdn_pusher.domain.preflight import file_name, objection
from cdn_pusher.handlers.reports import Reports
from certcore.clock import Clock
from certcore.errors import PermanentError, TransientError
from certcore.events import DeliveryReason, DeploymentOrdered
from certcore.sealing import RecipientKey
from certkit.registry_client import RegistryClient
from certkit.telemetry import context_of

__all__ = ["Deliverer"]

log = structlog.get_logger()


class Deliverer:
    """Works off the agenda of one HAProxy. A failure is reported and tried again; it ends nothing."""

    def __init__(
        self,
        *,
        instance: HaproxyInstance,
        registry: RegistryClient,
        key: RecipientKey,
        reports: Reports,
        tracer: Tracer,
        outcomes: Counter,
        clock: Clock,
        look_every: timedelta,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.agenda = Agenda()
        self._instance = instance
        self._registry = registry
        self._key = key
        self._reports = reports
        self._tracer = tracer
        self._outcomes = outcomes
        self._clock = clock
        self._look_every = look_every
        self._jitter = jitter
        self._news = asyncio.Event()
        self._stopping = False

    def wake(self) -> None:
        self._news.set()

    def stop(self) -> None:
        """Have `run` return when the delivery that it is at is done."""
        self._stopping = True
        self._news.set()

    async def run(self) -> None:
        while not self._stopping:
            self._news.clear()
            for item in self.agenda.due(now=self._clock()):
                if self._stopping:
                    return
                # It may have been replaced while others were delivered.
                if self.agenda.get(item.key) == item:
                    await self._serve(item)
            await self._rest()

    async def _rest(self) -> None:
        due = self.agenda.next_due()
        seconds = None if due is None else max(0.0, (due - self._clock()).total_seconds())
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            return

    async def _serve(self, item: Item) -> None:
        try:
            await self._bring(item)
        except DeliveryError as error:
            await self._fail(item, error)
        except TransientError as error:
            # The bus didn't take a report: the work stands, the report is made again.
            log.warning("report_not_stored", certificate_id=item.order.certificate_id, error=str(error))
            self.agenda.failed(item, now=self._clock(), jitter=self._jitter())
        except Exception:  # one certificate's fault must not end the deliveries of all others
            log.exception("delivery_broke_off", certificate_id=item.order.certificate_id, target=item.target)
            self.agenda.failed(item, now=self._clock(), jitter=self._jitter())

    async def _bring(self, item: Item) -> None:
        order = item.order
        file = file_name(order.name)
        wanted = Wanted(order.fingerprint_sha256, order.serial, item.digest)
        decision = await self._instance.look(file, wanted)
        until = self._clock() + self._look_every
        if not decision.push and item.reported_revision == order.revision:
            self.agenda.held(item, digest=item.digest, until=until)
            return
        with self._tracer.start_as_current_span(
            "haproxy.deliver", context=context_of({"traceparent": item.traceparent or ""})
        ) as span:
            span.set_attribute("certbus.target", item.target)
            span.set_attribute("certbus.revision", order.revision)
            span.set_attribute("certbus.reason", decision.reason)
            repaired = decision.push and item.delivered_revision == order.revision
            digest = item.digest
            if decision.push:
                digest = await self._push(file, order)
            else:
                await self._instance.prove(order.dns_names, order.fingerprint_sha256)
            self.agenda.held(item, digest=digest, until=until)
            self._tell_people(item, decision)
            await self._reports.delivered(item, repaired=repaired)
            self.agenda.reported(item)

    async def _push(self, file: str, order: DeploymentOrdered) -> str:
        pem = await self._fetch(order)
        objected = objection(pem, order, now=self._clock())
        if objected is not None:
            raise DeliveryError(DeliveryReason.BUNDLE_INVALID, objected)
        await self._instance.deliver(file, pem, dns_names=order.dns_names)
        return pem.digest

    async def _fetch(self, order: DeploymentOrdered) -> HaproxyPem:
        try:
            sealed = await self._registry.fetch_bundle(order.certificate_id, order.revision)
        except (TransientError, PermanentError) as error:
            raise DeliveryError(DeliveryReason.BUNDLE_UNAVAILABLE, str(error)) from error
        if sealed.sha256() != order.bundle_sha256:
            raise DeliveryError(DeliveryReason.BUNDLE_INVALID, "the bundle isn't the one that was ordered")
        try:
            bundle = sealed.open(self._key)
            return normal_pem(bundle.chain_pem, bundle.key_pem)
        except PermanentError as error:
            raise DeliveryError(DeliveryReason.BUNDLE_INVALID, str(error)) from error

    async def _fail(self, item: Item, error: DeliveryError) -> None:
        self._outcomes.labels(outcome=error.reason).inc()
        next_try = self.agenda.failed(item, now=self._clock(), jitter=self._jitter())
        log.warning(
            "delivery_failed",
            certificate=item.order.name,
            revision=item.order.revision,
            target=item.target,
            instance=self._instance.name,
            reason=error.reason,
            detail=error.detail,
            next_try=next_try.isoformat(),
        )
        try:
            with self._tracer.start_as_current_span(
                "haproxy.deliver", context=context_of({"traceparent": item.traceparent or ""})
            ) as span:
                span.set_attribute("certbus.reason", error.reason)
                await self._reports.failed(item, error, next_try=next_try)
        except TransientError as failure:
            # The next try reports again.
            log.warning("report_not_stored", certificate_id=item.order.certificate_id, error=str(failure))

    def _tell_people(self, item: Item, decision: Decision) -> None:
        self._outcomes.labels(outcome=decision.reason).inc()
        log.info(
            "certificate_delivered",
            certificate=item.order.name,
            revision=item.order.revision,
            target=item.target,
            instance=self._instance.name,
            reason=decision.reason,
        )

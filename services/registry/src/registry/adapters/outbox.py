"""Events leave in the order in which their transactions were committed, and none leaves without one."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from functools import partial

import structlog
from opentelemetry import context

from certcore import subjects
from certcore.clock import Clock
from certcore.cloudevents import stored_headers
from certcore.errors import PermanentError, TransientError
from certcore.events import Event
from certcore.identities import HUB, Service, source
from certkit.bus import EventPublisher
from certkit.telemetry import current_traceparent, parent_of
from registry.adapters.store import Store, Transaction
from registry.adapters.store.events import StoredEvent
from registry.domain.certificate import Certificate
from registry.domain.deployment import Deployment
from registry.domain.signing import WantedCsr

__all__ = ["Bell", "Outbox", "Relay"]

log = structlog.get_logger()

SOURCE = source(HUB, Service.REGISTRY)
_BATCH = 100
_MAX_EVENT_BYTES = 900 * 1024


class Bell:
    """Wakes whoever waits for new events; waiters also wake by themselves, for events of another replica."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self.silenced = False
        """The service is about to stop: whoever waits for events should leave."""

    def silence(self) -> None:
        """Send the waiting away; a signal handler may call it."""
        self.silenced = True

    def ring(self) -> None:
        self._event.set()
        self._event = asyncio.Event()

    async def wait(self, timeout_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._event.wait()


class Outbox:
    """Writes events beside the change that they announce, in the change's own transaction."""

    def __init__(self, *, clock: Clock, new_id: Callable[[], str]) -> None:
        self._clock = clock
        self._new_id = new_id

    def announce(self, transaction: Transaction, certificate: Certificate, event: Event) -> None:
        """Tell everyone about a certificate."""
        self._add(
            transaction,
            event,
            stream=subjects.CERTS,
            subject=subjects.event(event.type, certificate.id),
            about=certificate.id,
            traceparent=trace_of(certificate),
        )

    def answer(self, transaction: Transaction, owner: str, request_event_id: str, event: Event) -> None:
        """Answer a request event to whoever published it."""
        self._add(
            transaction,
            event,
            stream=subjects.ANSWERS,
            subject=subjects.answer(owner, request_event_id),
            about=request_event_id[:128],
            traceparent=current_traceparent(),
        )

    def order(self, transaction: Transaction, certificate: Certificate, deployment: Deployment) -> None:
        """Order one service of a place to deliver."""
        place, service, event = deployment.place, deployment.service, deployment.order
        self._add(
            transaction,
            event,
            stream=subjects.deploy_stream(place),
            subject=subjects.deploy(place, service, certificate.id),
            about=certificate.id,
            traceparent=trace_of(certificate),
        )

    def ask_for_csr(self, transaction: Transaction, certificate: Certificate, wanted: WantedCsr) -> None:
        """Ask one target of a place for a signing request."""
        self._add(
            transaction,
            wanted.event,
            stream=subjects.deploy_stream(wanted.place),
            subject=subjects.csr(wanted.place, wanted.service, certificate.id, wanted.event.target.name),
            about=certificate.id,
            traceparent=trace_of(certificate),
        )

    def _add(
        self,
        transaction: Transaction,
        event: Event,
        *,
        stream: str,
        subject: str,
        about: str,
        traceparent: str | None,
    ) -> None:
        # One that the bus can't take would stop every event behind it, for ever: better its change is refused.
        if len(event.model_dump_json()) > _MAX_EVENT_BYTES:
            raise PermanentError(f"an event {event.type} about {about} would be too large for the bus")
        transaction.events.add(
            event,
            event_id=self._new_id(),
            source=SOURCE,
            stream=stream,
            subject=subject,
            about=about,
            now=self._clock(),
            traceparent=traceparent,
        )


def trace_of(certificate: Certificate) -> str | None:
    """The present span where it belongs to the roll-out's trace, else the roll-out itself: one trace, whole."""
    present = current_traceparent()
    if present and certificate.traceparent and present.split("-")[1] == certificate.traceparent.split("-")[1]:
        return present
    return certificate.traceparent


def _mark_sent(sequence: int, now: datetime, transaction: Transaction) -> None:
    transaction.events.mark_sent(sequence, now)


class Relay:
    """Publishes what lies in the outbox. A row is marked after the stream stored it: at least once, in order."""

    def __init__(self, *, store: Store, publisher: EventPublisher, bell: Bell, clock: Clock) -> None:
        self._store = store
        self._publisher = publisher
        self._bell = bell
        self._clock = clock

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            try:
                sent = await self._send_batch()
            except TransientError as error:
                log.warning("outbox_waits", error=str(error))
                await asyncio.sleep(1.0)
                continue
            if sent == 0:
                await self._bell.wait(2.0)

    async def _send_batch(self) -> int:
        events = await self._store.read(lambda transaction: transaction.events.unsent(_BATCH))
        for event in events:
            await self._send(event)
            await self._store.write(partial(_mark_sent, event.sequence, self._clock()))
            log.info("event_published", event_type=event.type, event_id=event.id, subject=event.subject)
        return len(events)

    async def _send(self, event: StoredEvent) -> None:
        headers = stored_headers(
            event_type=event.type, event_id=event.id, source=event.source, time=event.time, about=event.about
        )
        # Answers had no stream of their own when these were written.
        stream = subjects.ANSWERS if event.subject.startswith("certs.answer.") else event.stream
        token = context.attach(parent_of(event.traceparent))
        try:
            await self._publisher.publish_raw(
                event.data.encode(), subject=event.subject, stream=stream, headers=headers
            )
        finally:
            context.detach(token)

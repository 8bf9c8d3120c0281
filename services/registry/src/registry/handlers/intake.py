"""Events that come from outside the services: requests over the bus, and alerts that the page and command follow."""

import hashlib
from typing import Final

import structlog
from faststream.nats import NatsMessage

from certcore import subjects
from certcore.clock import Clock
from certcore.cloudevents import Envelope
from certcore.errors import PermanentError
from certcore.events import (
    AlertRaised,
    AlertResolved,
    Event,
    RequestAccepted,
    RequestRejected,
    RequestSubmitted,
)
from certcore.names import is_label
from certcore.rejection import RejectedError, Rejection, read_request
from certkit.bus import Handler, parse_envelope
from registry.adapters.outbox import Bell, Outbox
from registry.adapters.store import Store
from registry.domain.access import Principal, owner_for
from registry.handlers.requests import Requests

__all__ = ["Intake"]

log = structlog.get_logger()

_MAX_EVENT_ID: Final = 128


class Intake:
    def __init__(self, *, store: Store, requests: Requests, outbox: Outbox, bell: Bell, clock: Clock) -> None:
        self._store = store
        self._requests = requests
        self._outbox = outbox
        self._bell = bell
        self._clock = clock

    async def on_request(self, message: NatsMessage) -> None:
        """Take a request event and answer it by its own id. Whatever is wrong with it becomes the answer.

        Raises:
            PermanentError: its type is unknown, or nobody could read its answer; it is set aside.
        """
        envelope = parse_envelope(message)
        owner = subjects.owner_of_request(envelope.subject)
        if not is_label(owner):
            raise PermanentError("the owner in the subject is no name: nobody could read the answer")
        event_id = envelope.id or "sha256-" + hashlib.sha256(message.body).hexdigest()[:32]
        if envelope.type not in {RequestSubmitted.type, ""}:
            await self._reject(owner, event_id, [_unknown_type(envelope)])
            raise PermanentError(f"unknown event type {envelope.type!r:.120}")
        if not envelope.id:
            missing = Rejection(field="ce-id", message="is missing: the answer is given by its value")
            await self._reject(owner, event_id, [missing])
            return
        try:
            await self._accept(owner, event_id, message.body)
        except RejectedError as rejected:
            await self._reject(owner, event_id, rejected.rejections)
            log.info(
                "request_rejected", owner=owner, event_id=event_id, fields=[r.field for r in rejected.rejections]
            )
        self._bell.ring()

    async def _accept(self, owner: str, event_id: str, body: bytes) -> None:
        # Who asks is taken from the subject, which the broker binds to the publisher.
        principal = Principal(subject=f"bus-{owner}", owner=owner, roles=frozenset())
        async with self._store.transaction() as transaction:
            if not await transaction.inbox.first_time(f"request/{owner}", event_id, self._clock()):
                return
            spec = read_request(body)
            done = await self._requests.submit(
                transaction, spec, owner=owner_for(spec, principal), requester=principal.subject
            )
            answer = RequestAccepted(
                request_event_id=event_id,
                request_id=done.request.id,
                certificate_id=done.certificate.id,
                name=done.certificate.name,
                state=done.certificate.state,
                reason=done.certificate.reason,
            )
            await self._outbox.answer(transaction, owner, event_id, answer)

    async def _reject(self, owner: str, event_id: str, rejections: list[Rejection]) -> None:
        async with self._store.transaction() as transaction:
            if await transaction.inbox.first_time(f"request/{owner}", event_id, self._clock()):
                answer = RequestRejected(request_event_id=event_id, errors=tuple(rejections))
                await self._outbox.answer(transaction, owner, event_id, answer)
        self._bell.ring()

    def alert_handlers(self) -> dict[type[Event], Handler]:
        """What to subscribe to on the alert stream."""
        return {AlertRaised: self.on_alert, AlertResolved: self.on_alert}

    async def on_alert(self, event: Event, envelope: Envelope) -> None:
        """Write an alert into the log of events, which page and command follow.

        Raises:
            PermanentError: its id can't stand in the log; it is set aside.
        """
        assert isinstance(event, AlertRaised | AlertResolved)
        if not 0 < len(envelope.id) <= _MAX_EVENT_ID:
            raise PermanentError(f"an alert needs a ce-id of at most {_MAX_EVENT_ID} characters")
        async with self._store.transaction() as transaction:
            if not await transaction.inbox.first_time(envelope.source, envelope.id, self._clock()):
                return
            if await transaction.events.get(envelope.id) is not None:
                raise PermanentError(f"the id of the alert is another event's already: {envelope.id}")
            await transaction.events.add(
                event,
                event_id=envelope.id,
                source=envelope.source,
                stream=subjects.ALERTS,
                subject=envelope.subject,
                about=event.certificate_id,
                now=self._clock(),
                traceparent=None,
                sent=True,
            )
        self._bell.ring()


def _unknown_type(envelope: Envelope) -> Rejection:
    return Rejection(field="ce-type", message=f"must be {RequestSubmitted.type}, not {envelope.type!r:.120}")

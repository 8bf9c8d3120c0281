"""Events that come from outside the services: requests over the bus, and alerts that the page and command follow."""

import hashlib
from typing import Final

import structlog
from faststream.nats import NatsMessage

from certcore import subjects
from certcore.clock import Clock
from certcore.cloudevents import Envelope
from certcore.door import RequestDoor
from certcore.errors import PermanentError
from certcore.events import (
    Alert,
    AlertAcknowledged,
    AlertRaised,
    AlertRaisedV1,
    AlertResolved,
    AlertResolvedV1,
    AlertUpdated,
    Event,
    RequestAccepted,
    RequestRejected,
    RequestSubmitted,
    RequestSubmittedV1,
)
from certcore.names import is_label
from certcore.rejection import RejectedError, Rejection
from certcore.tokens import TokenKind
from certkit.bus import Handler, parse_envelope, upgrading
from registry.adapters.outbox import SOURCE, Bell, Outbox
from registry.adapters.store import Store, Transaction
from registry.domain.access import Principal, owner_for
from registry.domain.alert import Heard, heard
from registry.domain.claim import contested
from registry.handlers.requests import Requests

__all__ = ["Intake"]

log = structlog.get_logger()

_MAX_EVENT_ID: Final = 128
_REQUESTS: Final = frozenset({RequestSubmitted.type, RequestSubmittedV1.type, ""})
"""Types of a request; a tool may leave the type out."""


class Intake:
    def __init__(
        self, *, store: Store, requests: Requests, door: RequestDoor, outbox: Outbox, bell: Bell, clock: Clock
    ) -> None:
        self._store = store
        self._door = door
        self._requests = requests
        self._outbox = outbox
        self._bell = bell
        self._clock = clock

    async def on_request(self, message: NatsMessage) -> None:
        """Take a request event and answer it by its own id. Its faults are the answer.

        Raises:
            PermanentError: its type is unknown, or its answer couldn't be delivered; it becomes a dead letter.
        """
        envelope = parse_envelope(message)
        owner = subjects.owner_of_request(envelope.subject)
        if not is_label(owner):
            raise PermanentError("the owner in the subject is no name: no answer can be published")
        event_id = envelope.id or "sha256-" + hashlib.sha256(message.body).hexdigest()[:32]
        if envelope.type not in _REQUESTS:
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
        # The requester is taken from the subject, which the broker binds to the publisher.
        principal = Principal(subject=f"bus-{owner}", owner=owner, roles=frozenset(), kind=TokenKind.WORKLOAD)
        spec = self._door.read(body)

        def work(transaction: Transaction) -> None:
            if not transaction.inbox.first_time(f"request/{owner}", event_id, self._clock()):
                return
            done = self._requests.submit(transaction, spec, owner=owner_for(spec, principal), by=principal)
            answer = RequestAccepted(
                request_event_id=event_id,
                request_id=done.request.id,
                certificate_id=done.certificate.id,
                name=done.certificate.name,
                state=done.certificate.state,
                reason=done.certificate.reason,
            )
            self._outbox.answer(transaction, owner, event_id, answer)

        await self._store.write(work, held=contested(spec))

    async def _reject(self, owner: str, event_id: str, rejections: list[Rejection]) -> None:
        def work(transaction: Transaction) -> None:
            if transaction.inbox.first_time(f"request/{owner}", event_id, self._clock()):
                answer = RequestRejected(request_event_id=event_id, errors=tuple(rejections))
                self._outbox.answer(transaction, owner, event_id, answer)

        await self._store.write(work)
        self._bell.ring()

    def alert_handlers(self) -> dict[type[Event], Handler]:
        """What to subscribe to on the alert stream."""
        return {
            AlertRaised: self.on_alert,
            AlertRaisedV1: upgrading(self.on_alert),
            AlertUpdated: self.on_alert,
            AlertAcknowledged: self.on_alert,
            AlertResolved: self.on_alert,
            AlertResolvedV1: upgrading(self.on_alert),
        }

    async def on_alert(self, event: Event, envelope: Envelope) -> None:
        """Keep an alert's state, and write it into the log of events, which page and command follow.

        Raises:
            PermanentError: its id can't be stored; it becomes a dead letter.
        """
        assert isinstance(event, Alert)
        if not 0 < len(envelope.id) <= _MAX_EVENT_ID or not 0 < len(event.alert_id) <= _MAX_EVENT_ID:
            raise PermanentError(f"an alert needs a ce-id and an alert_id of at most {_MAX_EVENT_ID} characters")
        alert = event

        def work(transaction: Transaction) -> None:
            if not transaction.inbox.first_time(envelope.source, envelope.id, self._clock()):
                return
            known = transaction.events.get(envelope.id)
            if known is not None and (known.source, known.type) == (SOURCE, envelope.type):
                # An alert of our own comes back: its state was kept when it was raised.
                return
            if known is not None:
                raise PermanentError(f"the id of the alert is another event's already: {envelope.id}")
            transaction.events.add(
                alert,
                event_id=envelope.id,
                source=envelope.source,
                stream=subjects.ALERTS,
                subject=envelope.subject,
                about=alert.certificate_id or alert.alert_id,
                owner=alert.owner[:63],
                now=self._clock(),
                traceparent=None,
                sent=True,
            )
            record, verdict = heard(transaction.alerts.get(alert.alert_id), alert, source=envelope.source)
            if record is not None and verdict is Heard.TAKEN:
                transaction.alerts.save(record)

        await self._store.write(work)
        self._bell.ring()


def _unknown_type(envelope: Envelope) -> Rejection:
    return Rejection(field="ce-type", message=f"must be {RequestSubmitted.type}, not {envelope.type!r:.120}")

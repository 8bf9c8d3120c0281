"""FastStream on JetStream, set up one way for all services (the traps behind each line are measured ones).

Pull consumers with one message at a time keep order and survive idle connections; every publish names its stream,
so that none is silently dropped; naks carry the only delays, so consumers have no `backoff` of their own.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, Protocol, cast, runtime_checkable

import nats.errors
import stamina
import structlog
from faststream import AckPolicy
from faststream.nats import JStream, NatsBroker, NatsMessage, PullSub
from faststream.nats.opentelemetry.provider import NatsTelemetrySettingsProvider
from faststream.nats.response import NatsPublishCommand
from faststream.nats.security import NatsNKey, NatsSecurity
from faststream.opentelemetry.middleware import TelemetryMiddleware
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.errors import APIError, NoStreamResponseError
from prometheus_client import CollectorRegistry

from certcore import subjects
from certcore.clock import Clock
from certcore.cloudevents import Envelope, envelope_of, headers_of
from certcore.errors import PermanentError, TransientError
from certcore.events import Event
from certkit.bus_client import end_quietly
from certkit.bus_metrics import bus_metrics
from certkit.dead_letters import fitted
from certkit.failure_policy import FailureLimits, FailurePolicy
from certkit.reader import Reader
from certkit.settings import BusSettings
from certkit.telemetry import Telemetry

__all__ = [
    "EventPublisher",
    "Handler",
    "RawHandler",
    "Upgradable",
    "make_broker",
    "parse_envelope",
    "subscribe",
    "upgrading",
]

log = structlog.get_logger()

Handler = Callable[[Any, Envelope], Awaitable[None]]
"""Handles one event of the type that it is registered for. Must bear redelivery of the same event."""

RawHandler = Callable[[NatsMessage], Awaitable[None]]
"""Handles every message of a consumer, whatever its type and body."""

_PUBLISH_TIMEOUT_S = 5.0
_CONNECT_S = 10.0


class _Broker(NatsBroker):
    """Connects anew where a try doesn't end: nats-py waits for ever for the end of a TLS handshake that timed out, as
    with a broker that accepts connections and answers nothing.
    """

    async def _connect(self) -> Client:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_CONNECT_S):
                    return await super()._connect()
            log.warning("bus_not_connected", tried_s=_CONNECT_S)


class _SpanNames(NatsTelemetrySettingsProvider):
    """Spans are named by event type: a subject holds ids, and ids don't belong into names."""

    def get_consume_destination_name(self, msg: Any) -> str:
        return str(msg.headers.get("ce-type") or super().get_consume_destination_name(msg))

    def get_publish_destination_name(self, cmd: Any) -> str:
        return str((cmd.headers or {}).get("ce-type") or super().get_publish_destination_name(cmd))


def _span_names(msg: Any) -> _SpanNames | None:
    return _SpanNames() if msg is None or isinstance(msg, Msg) else None


class _Telemetry(TelemetryMiddleware[NatsPublishCommand]):
    pass


def make_broker(
    settings: BusSettings,
    *,
    place: str,
    service: str,
    telemetry: Telemetry,
    metrics: CollectorRegistry,
    limits: FailureLimits | None = None,
) -> NatsBroker:
    """A broker that is not connected yet. It reconnects for ever and drains when it is stopped.

    Dead letters go to those of the place; `service` names the process in its metrics.
    """

    async def publish_dead_letter(body: bytes, durable: str, headers: dict[str, str]) -> None:
        headers.pop("traceparent", None)
        body, headers = fitted(body, headers)
        await broker.publish(
            body,
            subjects.dead_letter(place, durable),
            headers=headers,
            stream=subjects.dead_letter_stream(place),
            timeout=_PUBLISH_TIMEOUT_S,
        )

    broker = _Broker(
        settings.url,
        name=settings.identity,
        security=_security(settings),
        ack_policy=AckPolicy.NACK_ON_ERROR,
        inbox_prefix=f"_INBOX.{settings.identity}",
        max_reconnect_attempts=-1,
        reconnect_time_wait=1,
        ping_interval=10,
        graceful_timeout=20,
        error_cb=_log_error,
        logger=None,
        # Handlers take the message as it is: nothing is injected, and no model of a call is made.
        apply_types=False,
        serializer=None,
        decoder=_leave_encoded,
        middlewares=(
            _Telemetry(settings_provider_factory=_span_names, tracer_provider=telemetry.provider),
            bus_metrics(metrics, service=service),
            FailurePolicy(limits=limits or FailureLimits(), publish_dead_letter=publish_dead_letter, metrics=metrics),
        ),
    )
    return broker


async def _leave_encoded(message: NatsMessage) -> bytes:
    # FastStream would decode each body before a handler gets it: what is no JSON would count as a failure that may
    # pass, and be tried for half an hour.
    return message.body


def _security(settings: BusSettings) -> NatsSecurity:
    context = settings.tls_context()
    end_quietly()
    # nats-py would go on in plain text with a broker, or who plays one, that doesn't ask for TLS.
    first = context is not None
    if settings.nkey_seed_file is None:
        return NatsSecurity(ssl_context=context, tls_handshake_first=first)
    return NatsNKey(settings.nkey_seed_file, ssl_context=context, tls_handshake_first=first)


async def _log_error(error: Exception) -> None:
    # A refused permission is a mere timeout for the caller: only this log line has the cause.
    log.warning("bus_error", error=f"{type(error).__name__}: {error}"[:300])


class EventPublisher:
    """Publishes to a stream and waits until it is stored: after a timeout it repeats, under the same message id."""

    def __init__(
        self,
        *,
        broker: NatsBroker,
        source: str,
        clock: Clock,
        new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
    ) -> None:
        self._broker = broker
        self._source = source
        self._clock = clock
        self._new_id = new_id

    async def publish(
        self, event: Event, *, subject: str, stream: str, about: str, event_id: str | None = None
    ) -> str:
        """Publish one event and return its id.

        Raises:
            TransientError: no stream acknowledged it; whether it was stored is unknown.
        """
        event_id = event_id or self._new_id()
        headers = headers_of(event, event_id=event_id, source=self._source, time=self._clock(), about=about)
        await self.publish_raw(event.model_dump_json().encode(), subject=subject, stream=stream, headers=headers)
        return event_id

    async def publish_raw(self, body: bytes, *, subject: str, stream: str, headers: Mapping[str, str]) -> None:
        """Publish what was serialised before, as an outbox does.

        Raises:
            TransientError: as `publish`.
        """
        failures = (TimeoutError, nats.errors.Error, NoStreamResponseError, APIError)
        try:
            async for attempt in stamina.retry_context(on=failures, attempts=3, wait_initial=0.1, wait_max=1.0):
                with attempt:
                    await self._broker.publish(
                        body, subject, headers=dict(headers), stream=stream, timeout=_PUBLISH_TIMEOUT_S
                    )
        except failures as error:
            raise TransientError(f"stream {stream} didn't store {subject}: {type(error).__name__}") from error


@runtime_checkable
class Upgradable(Protocol):
    """An event of an earlier contract."""

    def upgraded(self) -> Event: ...


def upgrading(handler: Handler) -> Handler:
    """A handler of an event's predecessor, which becomes that event first."""

    async def handle(event: Upgradable, envelope: Envelope) -> None:
        await handler(event.upgraded(), envelope)

    return handle


def parse_envelope(message: NatsMessage) -> Envelope:
    raw = message.raw_message
    return envelope_of(message.headers, subject=raw.subject, tries=raw.metadata.num_delivered)


def subscribe(
    broker: NatsBroker,
    *,
    stream: str,
    durable: str,
    identity: str,
    handlers: Mapping[type[Event], Handler] | RawHandler,
    lasting: bool = True,
    at_once: int = 1,
    may_read: Callable[[], bool] | None = None,
) -> Reader:
    """Consume a durable that `certkit.declare` made; events of other types are parked as dead letters.

    It is read from the broker's start on, and where that is past, from the reader's own. One that is not `lasting`
    is forgotten by the broker when nobody holds it any more. One at once keeps the order of the messages, several
    lose it; the consumer's own limit of unacknowledged ones bounds them too. Nothing is fetched while `may_read` says
    no: what could not be handled anyway waits at the broker.
    """
    made = broker.subscriber(
        # Which messages come is the consumer's business: it is there already.
        f"{stream}.{durable}",
        stream=JStream(stream, declare=False),
        durable=durable,
        pull_sub=PullSub(batch_size=1, timeout=5),
        # FastStream doesn't hand the broker's own inbox prefix to pull subscribers.
        inbox_prefix=f"_INBOX.{identity}.".encode(),
        persistent=lasting,
        decoder=_whole,
    )
    # FastStream has no place where a reader of one's own could be given.
    made.__class__ = Reader
    reader = cast("Reader", made)
    reader.at_once = at_once
    reader.may_read = may_read
    reader(_by_type(handlers) if isinstance(handlers, Mapping) else handlers)
    return reader


async def _whole(message: NatsMessage) -> NatsMessage:
    # What a handler is annotated to get of FastStream's context, FastStream looks up in a thread of its own.
    return message


def _by_type(handlers: Mapping[type[Event], Handler]) -> Callable[..., Awaitable[None]]:
    # One for all: FastStream asks a filter of each handler until one says yes, of some thirty.
    known = {event_type.type: (event_type, handler) for event_type, handler in handlers.items()}

    async def consume(message: Any) -> None:
        name = message.headers.get("ce-type", "")
        if name not in known:
            raise PermanentError(f"unknown event type {name!r:.120}")
        event_type, handler = known[name]
        event = event_type.model_validate_json(message.body)
        for item in event.unreadable:
            log.warning("item_unreadable", source=event.type, item=item.item, name=item.name, problem=item.problem)
        await handler(event, parse_envelope(message))

    return consume

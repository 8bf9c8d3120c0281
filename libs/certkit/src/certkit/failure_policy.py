"""What becomes of an event whose handler failed: the one policy of every service.

| failure | fate |
|---|---|
| TransientError, or one nobody foresaw | nack with growing delay; after `max_tries` a dead letter |
| OwnFaultError: the service's database is away | nack with growing delay, and never a dead letter |
| PermanentError, invalid payload, unknown type | dead letter at once |
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final

import structlog
from faststream import BaseMiddleware
from faststream.exceptions import HandlerException, NackMessage, RejectMessage
from faststream.message import StreamMessage
from prometheus_client import CollectorRegistry
from pydantic import ValidationError

from certcore.backoff import delay_after
from certcore.errors import OwnFaultError, PermanentError, TransientError
from certkit.metric_names import DEAD_LETTERS, counter

__all__ = ["DeadLetter", "FailurePolicy", "Fate", "Retry", "decide"]

log = structlog.get_logger()


_LONGEST_OWN: Final = timedelta(seconds=30)
"""Nothing is asked of anybody else meanwhile, and all that waits is taken soon after the fault."""


class Fate(StrEnum):
    """Why an event was set aside or tried again: header of the dead letter, field of the log line."""

    TRANSIENT = "transient"
    PERMANENT = "permanent"
    INVALID = "invalid_payload"
    UNFORESEEN = "unforeseen"
    OWN_FAULT = "own_fault"
    TOO_MANY_TRIES = "too_many_tries"


@dataclass(frozen=True)
class Retry:
    delay: timedelta
    fate: Fate


@dataclass(frozen=True)
class DeadLetter:
    fate: Fate


@dataclass(frozen=True)
class FailureLimits:
    """Delays double from `base_delay` to `max_delay`; the defaults give up after about half an hour."""

    base_delay: timedelta = timedelta(seconds=1)
    max_delay: timedelta = timedelta(minutes=5)
    max_tries: int = 14


def decide(error: BaseException, *, tries: int, limits: FailureLimits) -> Retry | DeadLetter:
    """`tries` counts this failed one."""
    if isinstance(error, ValidationError):
        return DeadLetter(Fate.INVALID)
    if isinstance(error, PermanentError):
        return DeadLetter(Fate.PERMANENT)
    own = isinstance(error, OwnFaultError)
    if tries >= limits.max_tries and not own:
        return DeadLetter(Fate.TOO_MANY_TRIES)
    delay = delay_after(
        tries,
        jitter=0.0,
        first=limits.base_delay,
        longest=min(limits.max_delay, _LONGEST_OWN) if own else limits.max_delay,
        retry_after=error.retry_after if isinstance(error, TransientError) else None,
    )
    if own:
        return Retry(delay, Fate.OWN_FAULT)
    return Retry(delay, Fate.TRANSIENT if isinstance(error, TransientError) else Fate.UNFORESEEN)


PublishDeadLetter = Callable[[bytes, str, dict[str, str]], Awaitable[None]]
"""Stores body and headers under a durable's dead-letter subject; raises where they could not be stored."""


def describe(error: BaseException) -> str:
    """An error for a header or a log line. Pydantic's own text quotes its input, so only places are named."""
    if isinstance(error, ValidationError):
        places = [".".join(map(str, item["loc"])) or "body" for item in error.errors(include_input=False)]
        return f"{error.title}: {', '.join(places)}"[:300]
    return f"{type(error).__name__}: {error}".replace("\n", " ").replace("\r", " ")[:300]


class FailurePolicy:
    """Middleware factory, as FastStream requires it: called for each message."""

    def __init__(
        self, *, limits: FailureLimits, publish_dead_letter: PublishDeadLetter, metrics: CollectorRegistry
    ) -> None:
        self.limits = limits
        self.publish_dead_letter = publish_dead_letter
        self.dead_letters = counter(DEAD_LETTERS, metrics)

    def __call__(self, msg: Any, /, *, context: Any) -> "_Guard":
        return _Guard(msg, context=context, policy=self)


class _Guard(BaseMiddleware):
    def __init__(self, msg: Any, /, *, context: Any, policy: FailurePolicy) -> None:
        super().__init__(msg, context=context)
        self._policy = policy

    async def consume_scope(self, call_next: Callable[[Any], Awaitable[Any]], msg: StreamMessage[Any]) -> Any:
        try:
            return await call_next(msg)
        except HandlerException:
            raise
        except Exception as error:  # noqa: BLE001 # every failure ends here: its fate is decided once
            await self._settle(error, msg)

    async def _settle(self, error: Exception, msg: StreamMessage[Any]) -> None:
        metadata = msg.raw_message.metadata
        tries = metadata.num_delivered
        decision = decide(error, tries=tries, limits=self._policy.limits)
        fields = {
            "durable": metadata.consumer,
            "event_type": msg.headers.get("ce-type", ""),
            "event_id": msg.headers.get("ce-id", ""),
            "tries": tries,
            "fate": str(decision.fate),
            "error": describe(error),
        }
        if isinstance(decision, Retry):
            unforeseen = decision.fate is Fate.UNFORESEEN
            log.warning("event_retried", delay_s=decision.delay.total_seconds(), exc_info=unforeseen, **fields)
            raise NackMessage(delay=decision.delay.total_seconds()) from error
        headers = {
            **msg.headers,
            "certbus-durable": metadata.consumer,
            "certbus-fate": str(decision.fate),
            "certbus-error": describe(error),
            "certbus-subject": msg.raw_message.subject,
            "Nats-Msg-Id": f"{metadata.stream}.{metadata.consumer}.{metadata.sequence.stream}",
        }
        await self._policy.publish_dead_letter(msg.body, metadata.consumer, headers)
        self._policy.dead_letters.labels(metadata.consumer, decision.fate).inc()
        log.error("event_set_aside", **fields)
        raise RejectMessage from error

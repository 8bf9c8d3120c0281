"""Looks after the consumers that a service reads: are they there, how far behind is it, does it still read them."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import nats.errors
import structlog
from faststream.nats import NatsBroker
from nats.js import JetStreamContext
from nats.js.api import ConsumerInfo
from nats.js.errors import NotFoundError
from prometheus_client import CollectorRegistry, Gauge

from certcore.clock import Clock
from certkit import metric_names
from certkit.consumer_lag import Figures, Lag, measured
from certkit.metric_names import gauge
from certkit.reader import Reader
from certkit.readiness import Finding

__all__ = ["Consumers"]

log = structlog.get_logger()

_TIMEOUT_S: Final = 2.0
_AT_ONCE: Final = 16
_NO_STREAM: Final = 10059
"""JetStream's code for a stream that doesn't exist."""

Name = tuple[str, str]
"""Stream and durable."""


@dataclass(frozen=True)
class _Seen:
    """What the last look at a consumer found. `missing` names what the broker hasn't got."""

    missing: str | None
    since: datetime | None
    lag: Lag | None


class Consumers:
    """Of one broker: all whose reader was made by `certkit.bus.subscribe`. `look` is a round of the background."""

    def __init__(self, *, broker: NatsBroker, metrics: CollectorRegistry, clock: Clock) -> None:
        self._broker = broker
        self._clock = clock
        self._seen: dict[Name, _Seen] = {}
        self._unanswered: dict[Name, datetime] = {}
        self._present = gauge(metric_names.CONSUMER_PRESENT, metrics)
        self._pending = gauge(metric_names.CONSUMER_PENDING, metrics)
        self._ack_pending = gauge(metric_names.CONSUMER_ACK_PENDING, metrics)
        self._redelivered = gauge(metric_names.CONSUMER_REDELIVERED, metrics)
        self._stuck = gauge(metric_names.CONSUMER_STUCK, metrics)

    def findings(self) -> list[Finding]:
        """A check of `certkit.readiness`."""
        now = self._clock()
        return [self._finding(name, seen, now) for name, seen in sorted(self._seen.items())]

    async def look(self) -> None:
        """Ask for each consumer, and read on where the reading task was cancelled by somebody else."""
        readers = {reader.consumer: reader for reader in self._broker.subscribers if isinstance(reader, Reader)}
        for gone in self._seen.keys() - readers.keys():
            self._forget(gone)
        for name, reader in readers.items():
            if reader.resume():
                log.error("reading_resumed", stream=name[0], durable=name[1])
        client = await self._broker.connect()
        turn = asyncio.Semaphore(_AT_ONCE)
        await asyncio.gather(*(self._ask(client.jetstream(timeout=_TIMEOUT_S), name, turn) for name in readers))

    async def _ask(self, js: JetStreamContext, name: Name, turn: asyncio.Semaphore) -> None:
        before = self._seen.get(name)
        async with turn:
            try:
                info = await js.consumer_info(*name)
            except NotFoundError as error:
                stream, durable = name
                missing = f"stream {stream}" if error.err_code == _NO_STREAM else f"consumer {durable}"
                again = before is not None and before.missing is not None
                since = before.since if before is not None and again else self._clock()
                self._show(name, _Seen(missing, since, None))
                self._unanswered.pop(name, None)
                return
            except (nats.errors.Error, TimeoutError):
                # Whether the bus can be reached is another check.
                self._unanswered.setdefault(name, self._clock())
                self._seen.setdefault(name, _Seen(None, None, None))
                return
        self._unanswered.pop(name, None)
        lag = measured(before.lag if before is not None else None, _figures(info), now=self._clock())
        self._show(name, _Seen(None, lag.waiting_since, lag))

    def _show(self, name: Name, seen: _Seen) -> None:
        self._seen[name] = seen
        self._present.labels(*name).set(seen.missing is None)
        if seen.lag is None:
            return
        self._pending.labels(*name).set(seen.lag.figures.pending)
        self._ack_pending.labels(*name).set(seen.lag.figures.ack_pending)
        self._redelivered.labels(*name).set(seen.lag.figures.redelivered)
        self._stuck.labels(*name).set(seen.lag.stuck(self._clock()))

    def _forget(self, name: Name) -> None:
        del self._seen[name]
        self._unanswered.pop(name, None)
        of_consumers: tuple[Gauge, ...] = (
            self._present,
            self._pending,
            self._ack_pending,
            self._redelivered,
            self._stuck,
        )
        for metric in of_consumers:
            metric.remove(*name)

    def _finding(self, name: Name, seen: _Seen, now: datetime) -> Finding:
        check = f"consumer {'/'.join(name)}"
        if seen.missing is not None:
            return Finding(check=check, problem=f"the broker has no {seen.missing}", since=seen.since)
        if name in self._unanswered:
            return Finding(check=check, detail="the broker doesn't tell of it", since=self._unanswered[name])
        if seen.lag is None or seen.lag.waiting_since is None:
            return Finding(check=check)
        waiting = f"{seen.lag.figures.pending} messages wait, {seen.lag.figures.ack_pending} are in hand"
        if seen.lag.stuck(now):
            return Finding(check=check, problem=f"none is read: {waiting}", since=seen.lag.moved)
        return Finding(check=check, detail=waiting, since=seen.since)


def _figures(info: ConsumerInfo) -> Figures:
    handed_over = info.delivered.consumer_seq if info.delivered is not None else 0
    return Figures(
        pending=info.num_pending or 0,
        ack_pending=info.num_ack_pending or 0,
        redelivered=info.num_redelivered or 0,
        handed_over=handed_over,
    )

"""Publishes what lies in the outbox: a lane a stream, so that a stream that takes nothing delays no other one.

A row is marked after its stream stored it, many rows at once and a moment later: what a crash leaves unmarked is
published again under the same message id, and its stream drops it. Two relays of one database publish everything
twice and lose nothing; of one certificate, neither publishes an event before the one before it was stored.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import structlog
from opentelemetry.trace import Link, SpanKind, Tracer, get_current_span
from prometheus_client import CollectorRegistry

from certcore import subjects
from certcore.clock import Clock
from certcore.errors import TransientError
from certkit import metric_names
from certkit.background import end_tasks
from certkit.metric_names import counter, gauge
from certkit.readiness import Finding
from certkit.telemetry import parent_of
from registry.adapters.jetstream import JetStream
from registry.adapters.lane_runner import LaneRunner
from registry.adapters.outbox import Bell
from registry.adapters.store import Store, Transaction
from registry.adapters.store.events import Backlog, StoredEvent
from registry.adapters.unsent import Room, find_unsent
from registry.domain.lane import Key, Lane

__all__ = ["Relay"]

log = structlog.get_logger()

WINDOW: Final = 256
"""Events of a stream in flight."""

_BUFFERED: Final = 8
"""Windows of events in memory, for each stream; its owners share them, and have room for a few at least."""
_UNMARKED: Final = 4096
"""Stored and not marked: with so many, the database takes no writes, and nothing more is read."""
_MARK_EVERY_S: Final = 0.25
_MARK_PATIENCE_S: Final = 0.5
"""Marks are mostly committed with other works."""
_BETWEEN_READS_S: Final = 0.03
_MEASURE_EVERY_S: Final = 5.0
_AGAIN_S: Final = 1.0
_LINKS: Final = 100


class Relay:
    def __init__(
        self,
        *,
        store: Store,
        jetstream: JetStream,
        bell: Bell,
        clock: Clock,
        tracer: Tracer,
        metrics: CollectorRegistry,
        window: int = WINDOW,
    ) -> None:
        self._store = store
        self._jetstream = jetstream
        self._bell = bell
        self._clock = clock
        self._tracer = tracer
        self._lower: set[str] = set()
        self._window = window
        self._runners: dict[str, LaneRunner] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._broken: asyncio.Future[None] | None = None
        self._look = asyncio.Event()
        self._marking = asyncio.Event()
        self._unmarked: list[StoredEvent] = []
        self._marked: list[StoredEvent] = []
        self._began_ns = 0
        self._unsent = gauge(metric_names.OUTBOX_UNSENT, metrics)
        self._oldest = gauge(metric_names.OUTBOX_OLDEST, metrics)
        self._parked = gauge(metric_names.OUTBOX_PARKED, metrics)
        self._published = counter(metric_names.OUTBOX_PUBLISHED, metrics)

    def parked(self) -> dict[str, tuple[float, str]]:
        """The streams that take nothing: since how many seconds, and why."""
        now = asyncio.get_running_loop().time()
        return {
            name: (now - runner.lane.parked.since, runner.lane.parked.reason)
            for name, runner in sorted(self._runners.items())
            if runner.lane.parked is not None
        }

    def findings(self) -> list[Finding]:
        """A check of `certkit.readiness`. The lane of one place is told and keeps nobody else from the registry."""
        parked, now = self.parked(), self._clock()
        if not parked:
            return [Finding(check="outbox")]
        return [self._finding(name, reason, now - timedelta(seconds=ago)) for name, (ago, reason) in parked.items()]

    def _finding(self, stream: str, reason: str, since: datetime) -> Finding:
        told = f"parked: {reason}"
        everybody = stream == subjects.CERTS
        return Finding(
            check=f"outbox {stream}",
            problem=told if everybody else None,
            detail=None if everybody else told,
            since=since,
        )

    def lower(self) -> frozenset[str]:
        """The streams that stored a message under a lower sequence than one before: they were rewound."""
        return frozenset(self._lower)

    def restarted(self, stream: str) -> None:
        """It is known that the sequences of a stream begin again."""
        self._lower.discard(stream)
        if stream in self._runners:
            self._runners[stream].restarted()

    async def run(self) -> None:
        """Work until cancelled; the broker must have been started."""
        await self._jetstream.open()
        works = {"read": self._read, "mark": self._mark, "measure": self._measure, "listen": self._listen}
        tasks = [asyncio.create_task(work(), name=name) for name, work in works.items()]
        self._broken = asyncio.get_running_loop().create_future()
        for task in tasks:
            task.add_done_callback(self._ended)
        try:
            # What ends first ends all, and whoever runs this starts it again.
            await self._broken
        finally:
            await end_tasks([*tasks, *self._tasks.values()])
            self._tasks.clear()
            self._runners.clear()
            self._unmarked.clear()
            self._marked.clear()
            for shown in (self._unsent, self._oldest, self._parked):
                shown.clear()

    async def _listen(self) -> None:
        while True:
            await self._bell.wait(2.0)
            self._look.set()

    async def _read(self) -> None:
        while True:
            self._look.clear()
            if len(self._unmarked) < _UNMARKED:
                try:
                    await self._read_once()
                except TransientError as error:
                    log.warning("outbox_not_read", error=str(error))
                    await asyncio.sleep(_AGAIN_S)
                    continue
            await asyncio.sleep(_BETWEEN_READS_S)
            await self._look.wait()

    async def _read_once(self) -> None:
        # What was marked before the read begins is not among what it finds.
        marked, self._marked = self._marked, []
        rooms = {name: Room(runner.lane.held(), runner.lane.known()) for name, runner in self._runners.items()}
        full = {name for name, runner in self._runners.items() if runner.lane.parked is not None and len(runner.lane)}
        try:
            found, unfinished = await self._store.read(partial(find_unsent, rooms, full, self._window * _BUFFERED))
        except TransientError:
            self._marked += marked
            raise
        for name in found:
            if name not in self._runners:
                self._start(name)
        by_stream: dict[str, list[StoredEvent]] = {}
        for event in marked:
            by_stream.setdefault(event.stream, []).append(event)
        for name, runner in self._runners.items():
            runner.more = name in unfinished
            runner.add(found.get(name, ()))
            runner.lane.forget(by_stream.get(name, ()))

    def _start(self, stream: str) -> None:
        runner = LaneRunner(
            stream,
            jetstream=self._jetstream,
            lane=Lane(window=self._window),
            low=self._window * _BUFFERED // 2,
            stored=partial(self._stored, stream),
            hungry=self._look.set,
            lower=partial(self._lower.add, stream),
        )
        self._runners[stream] = runner
        self._tasks[stream] = task = asyncio.create_task(runner.run(), name=f"lane {stream}")
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if self._broken is None or self._broken.done():
            return
        # None of them returns by itself; one that was cancelled from elsewhere leaves the others without it.
        error = None if task.cancelled() else task.exception()
        self._broken.set_exception(error or TransientError(f"the relay's task {task.get_name()} was cancelled"))

    def _stored(self, stream: str, event: StoredEvent) -> None:
        if not self._unmarked:
            self._began_ns = self._clock_ns()
        self._unmarked.append(event)
        self._published.labels(stream).inc()
        self._marking.set()

    def _clock_ns(self) -> int:
        return int(self._clock().timestamp() * 1e9)

    async def _mark(self) -> None:
        while True:
            await self._marking.wait()
            await asyncio.sleep(_MARK_EVERY_S)
            self._marking.clear()
            events, now = list(self._unmarked), self._clock()
            keys = [(event.sequence, event.repeats) for event in events]
            # The others are as high as they were at an earlier mark.
            runners = {event.stream: self._runners[event.stream] for event in events}
            reached = {name: runner.highest for name, runner in runners.items() if runner.highest}

            def work(
                transaction: Transaction,
                keys: Sequence[Key] = keys,
                reached: Mapping[str, int] = reached,
                now: datetime = now,
            ) -> None:
                transaction.events.mark_sent(keys, now)
                transaction.stream_epochs.reached(reached)

            try:
                await self._store.write(work, patience_s=_MARK_PATIENCE_S)
            except TransientError as error:
                log.warning("outbox_not_marked", events=len(events), error=str(error))
                await asyncio.sleep(_AGAIN_S)
                self._marking.set()
                continue
            del self._unmarked[: len(events)]
            self._marked += events
            self._tell(events)
            if self._unmarked:
                self._marking.set()

    def _tell(self, events: Sequence[StoredEvent]) -> None:
        """One span and one line for all that were marked together."""
        counts: dict[str, int] = {}
        for event in events:
            counts[event.stream] = counts.get(event.stream, 0) + 1
        contexts = {event.traceparent: parent_of(event.traceparent) for event in events[:_LINKS] if event.traceparent}
        links = [Link(get_current_span(context).get_span_context()) for context in contexts.values()]
        span = self._tracer.start_span(
            "outbox publish",
            kind=SpanKind.PRODUCER,
            links=links,
            start_time=self._began_ns,
            attributes={"messaging.batch.message_count": len(events)},
        )
        span.end()
        log.info("events_published", streams=counts)
        self._began_ns = self._clock_ns()

    async def _measure(self) -> None:
        while True:
            with suppress(TransientError):
                self._show(await self._store.read(lambda transaction: transaction.events.backlog()))
            await asyncio.sleep(_MEASURE_EVERY_S)

    def _show(self, backlog: Mapping[str, Backlog]) -> None:
        now, parked = self._clock(), self.parked()
        for name in {*backlog, *self._runners}:
            waiting = backlog.get(name)
            self._unsent.labels(name).set(waiting.unsent if waiting else 0)
            self._oldest.labels(name).set((now - waiting.oldest).total_seconds() if waiting else 0.0)
            self._parked.labels(name).set(int(name in parked))

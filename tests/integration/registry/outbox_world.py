"""An outbox on a real broker, with its relay and its watch in the test's own process."""

import asyncio
import tempfile
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import nats
from faststream.nats import NatsBroker
from nats.js import JetStreamContext
from nats.js.api import RawStreamMsg
from nats.js.errors import NotFoundError
from opentelemetry.sdk.trace import TracerProvider
from prometheus_client import CollectorRegistry

from certcore import subjects
from certcore.clock import system_clock
from certcore.events import CertificateLive, Severity
from certkit.background import end_tasks
from certkit.transactions import Database
from certlocal.nats_server import NatsServer
from registry.adapters.jetstream import JetStream
from registry.adapters.outbox import SOURCE, Bell
from registry.adapters.relay import Relay
from registry.adapters.store import Store, Transaction
from registry.app import MIGRATIONS
from registry.handlers.stream_watch import StreamWatch
from tests.patience import HANG_S

__all__ = ["OutboxWorld", "outbox_world"]


class NotedAlarms:
    """What is raised now, as reason and subject, with its summary; and everything that ever was."""

    def __init__(self) -> None:
        self.raised: dict[tuple[str, str], str] = {}
        self.ever: list[tuple[str, str]] = []

    def raise_(self, _: Transaction, *, reason: str, subject: str, severity: Severity, summary: str) -> None:
        assert severity
        self.raised[reason, subject] = summary
        self.ever.append((reason, subject))

    def resolve(self, _: Transaction, *, reason: str, subject: str) -> None:
        self.raised.pop((reason, subject), None)


class OutboxWorld:
    def __init__(self, *, broker: NatsServer, bus: NatsBroker, js: JetStreamContext, store: Store) -> None:
        self.broker = broker
        self.js = js
        self.store = store
        self.alarms = NotedAlarms()
        self.bell = Bell()
        self.metrics = CollectorRegistry()
        self._bus = bus
        self._running: list[asyncio.Task[None]] = []
        self.relay: Relay
        self.watch: StreamWatch

    def start(self) -> None:
        """A relay and a watch as after a start of the process."""
        jetstream = JetStream(broker=self._bus)
        self.metrics = CollectorRegistry()
        self.relay = Relay(
            store=self.store,
            jetstream=jetstream,
            bell=self.bell,
            clock=system_clock,
            tracer=TracerProvider(shutdown_on_exit=False).get_tracer("test"),
            metrics=self.metrics,
        )
        self.watch = StreamWatch(
            store=self.store,
            jetstream=jetstream,
            relay=self.relay,
            alarms=self.alarms,
            bell=self.bell,
            clock=system_clock,
            every_s=1.0,
            parked_long_s=2.0,
        )
        self._running = [asyncio.create_task(self.relay.run()), asyncio.create_task(self.watch.run())]

    async def stop(self) -> None:
        await end_tasks(self._running)
        for task in self._running:
            if not task.cancelled():
                task.result()

    async def relay_ended(self) -> None:
        """Wait until the relay ends by itself, and raise its error."""
        await self._running.pop(0)

    async def commit(
        self, stream: str, *, owner: str = "shop", about: str | None = None, count: int = 1, ring: bool = True
    ) -> list[str]:
        """Events of one owner, each about another certificate unless one is named; returns their ids."""
        ids = [str(uuid.uuid4()) for _ in range(count)]

        def work(transaction: Transaction) -> None:
            for event_id in ids:
                certificate_id = about or str(uuid.uuid4())
                event = CertificateLive(
                    certificate_id=certificate_id, name="x", owner=owner, revision=1, fingerprint_sha256="0" * 64
                )
                transaction.events.add(
                    event,
                    event_id=event_id,
                    source=SOURCE,
                    stream=stream,
                    subject=_subject(stream, owner, certificate_id),
                    about=certificate_id,
                    owner=owner,
                    now=system_clock(),
                    traceparent="00-" + "a" * 32 + "-" + "b" * 16 + "-01",
                )

        await self.store.write(work)
        if ring:
            self.bell.ring()
        return ids

    async def messages(self, stream: str) -> list[RawStreamMsg]:
        """Everything that the stream holds, oldest first; nothing where it is missing."""
        try:
            state = (await self.js.stream_info(stream)).state
        except NotFoundError:
            return []
        found: list[RawStreamMsg] = []
        for sequence in range(max(state.first_seq, 1), state.last_seq + 1):
            with suppress(NotFoundError):
                found.append(await self.js.get_msg(stream, seq=sequence, direct=True))
        return found

    async def ids(self, stream: str) -> list[str]:
        return [(message.headers or {})["ce-id"] for message in await self.messages(stream)]

    async def holds(self, stream: str, ids: list[str], *, within_s: float = HANG_S) -> float:
        """Wait until the stream has these events; returns after how many seconds."""
        began = time.monotonic()
        while missing := set(ids) - set(await self.ids(stream)):
            assert time.monotonic() - began < within_s, f"{len(missing)} of {len(ids)} events are not in {stream}"
            await asyncio.sleep(0.05)
        return time.monotonic() - began

    async def count(self, stream: str, messages: int) -> None:
        """Wait until the stream has so many messages."""
        began = time.monotonic()
        while (held := (await self.js.stream_info(stream)).state.messages) < messages:
            assert time.monotonic() - began < HANG_S, f"{held} of {messages} events are in {stream}"
            await asyncio.sleep(0.05)

    async def known(self, stream: str) -> None:
        """Wait until the watch has noted the stream."""

        def look(transaction: Transaction) -> bool:
            return stream in transaction.stream_epochs.all()

        began = time.monotonic()
        while not await self.store.read(look):
            assert time.monotonic() - began < HANG_S, f"{stream} is not noted"
            await asyncio.sleep(0.05)

    async def raised(self, reason: str, subject: str, *, yes: bool = True) -> None:
        """Wait until an alarm is raised, or isn't any more."""
        began = time.monotonic()
        while ((reason, subject) in self.alarms.raised) is not yes:
            assert time.monotonic() - began < HANG_S, f"{reason} of {subject}: {self.alarms.raised}"
            await asyncio.sleep(0.05)

    async def unsent(self) -> dict[str, int]:
        backlog = await self.store.read(lambda transaction: transaction.events.backlog())
        return {stream: item.unsent for stream, item in backlog.items()}

    async def all_sent(self) -> None:
        began = time.monotonic()
        while left := await self.unsent():
            assert time.monotonic() - began < HANG_S, f"unsent: {left}"
            await asyncio.sleep(0.05)

    def metric(self, name: str, stream: str) -> float | None:
        return self.metrics.get_sample_value(name, {"stream": stream})


def _subject(stream: str, owner: str, certificate_id: str) -> str:
    if stream.startswith(subjects.DEPLOY):
        return subjects.deploy(stream.removeprefix(subjects.DEPLOY), "syncer", certificate_id)
    if stream.startswith(subjects.ANSWERS):
        return subjects.answer(owner, certificate_id)
    return subjects.event(CertificateLive.type, certificate_id)


@asynccontextmanager
async def outbox_world(broker: NatsServer, *, url: str | None = None) -> AsyncIterator[OutboxWorld]:
    """The relay runs, on a database of its own unless one is given."""
    with tempfile.TemporaryDirectory(prefix="certbus-outbox-") as folder:
        database = Database(url or f"sqlite:///{Path(folder) / 'registry.db'}", metrics=CollectorRegistry())
        await database.upgrade(MIGRATIONS)
        bus = NatsBroker(
            broker.url, logger=None, inbox_prefix="_INBOX.registry", max_reconnect_attempts=-1, reconnect_time_wait=1
        )
        await bus.start()
        client = await nats.connect(broker.url, max_reconnect_attempts=-1, reconnect_time_wait=0.2)
        world = OutboxWorld(broker=broker, bus=bus, js=client.jetstream(timeout=10.0), store=Store(database))
        world.start()
        try:
            yield world
        finally:
            await world.stop()
            await client.close()
            await bus.stop()
            await database.close()

"""How fast the outbox publishes, beside a bare publisher of nats-py: `python -m tests.benchmarks.outbox`.

Both send the same messages to the same real broker, which writes each to the disk before it acknowledges, with the
same number in flight. It prints a table and judges nothing: the limit stands beside.
"""

import argparse
import asyncio
import logging
import statistics
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import nats
import structlog
from faststream.nats import NatsBroker
from nats.js.api import StreamConfig
from opentelemetry.sdk.trace import TracerProvider
from prometheus_client import CollectorRegistry
from rich.console import Console
from rich.table import Table

from certcore import subjects
from certcore.clock import system_clock
from certcore.cloudevents import stored_headers
from certcore.events import CertificateLive
from certkit.background import end_tasks
from certkit.transactions import Database
from registry.adapters.jetstream import JetStream
from registry.adapters.outbox import SOURCE, Bell
from registry.adapters.relay import Relay
from registry.adapters.store import Store, Transaction
from registry.adapters.store.events import StoredEvent
from registry.app import MIGRATIONS
from tests import servers

LEAST_RATIO = 0.6
WINDOWS = (64, 128, 256)


@dataclass(frozen=True)
class Measured:
    rate: float
    cpu_ms: float
    """Of this process, an event."""


@asynccontextmanager
async def a_store(count: int, *, owners: int) -> AsyncIterator[tuple[Store, list[StoredEvent]]]:
    """A database with so many events to publish, each about another certificate."""
    with tempfile.TemporaryDirectory(prefix="certbus-bench-") as folder:
        database = Database(f"sqlite:///{Path(folder) / 'registry.db'}", metrics=CollectorRegistry())
        await database.upgrade(MIGRATIONS)
        store = Store(database)

        def fill(transaction: Transaction) -> None:
            for number in range(count):
                about = str(uuid.uuid4())
                event = CertificateLive(
                    certificate_id=about,
                    name=f"cert-{number}",
                    owner=f"team-{number % owners}",
                    revision=1,
                    fingerprint_sha256="0" * 64,
                )
                transaction.events.add(
                    event,
                    event_id=str(uuid.uuid4()),
                    source=SOURCE,
                    stream=subjects.CERTS,
                    subject=subjects.event(event.type, about),
                    about=about,
                    owner=event.owner,
                    now=system_clock(),
                    traceparent=f"00-{uuid.uuid4().hex}-{uuid.uuid4().hex[:16]}-01",
                )

        await store.write(fill)
        events = await store.read(lambda transaction: transaction.events.after(0, count))
        yield store, events
        await database.close()


async def measured(count: int, work: Callable[[], Awaitable[None]]) -> Measured:
    began, cpu = time.perf_counter(), time.process_time()
    await work()
    took, cpu = time.perf_counter() - began, time.process_time() - cpu
    return Measured(count / took, cpu / count * 1000)


async def bare(url: str, events: list[StoredEvent], window: int) -> Measured:
    """What nats-py does at best: acknowledgements awaited in the background, so many in flight."""
    client = await nats.connect(url)
    js = client.jetstream(publish_async_max_pending=window)

    async def publish() -> None:
        for event in events:
            headers = stored_headers(
                event_type=event.type, event_id=event.id, source=event.source, time=event.time, about=event.about
            )
            await js.publish_async(event.subject, event.data.encode(), stream=event.stream, headers=headers)
        await js.publish_async_completed()

    try:
        return await measured(len(events), publish)
    finally:
        await client.close()


async def outbox(url: str, store: Store, events: list[StoredEvent], window: int) -> Measured:
    """From the table to the marks in the table."""
    broker = NatsBroker(url, logger=None)
    await broker.start()
    relay = Relay(
        store=store,
        jetstream=JetStream(broker=broker),
        bell=Bell(),
        clock=system_clock,
        tracer=TracerProvider(shutdown_on_exit=False).get_tracer("benchmark"),
        metrics=CollectorRegistry(),
        window=window,
    )

    async def publish() -> None:
        running = asyncio.create_task(relay.run())
        while await store.read(lambda transaction: transaction.events.streams_unsent()):  # noqa: ASYNC110 # of a table
            await asyncio.sleep(0.02)
        await end_tasks([running])

    try:
        return await measured(len(events), publish)
    finally:
        await broker.stop()


async def main() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--owners", type=int, default=20)
    options = parser.parse_args()
    table = Table("in flight", "bare /s", "outbox /s", "ratio", "limit", "bare CPU ms", "outbox CPU ms")
    async with servers.broker() as broker:
        client = await nats.connect(broker.url)
        js = client.jetstream()
        for window in WINDOWS:
            plain: list[Measured] = []
            ours: list[Measured] = []
            for number in range(options.rounds):
                async with a_store(options.events, owners=options.owners) as (store, events):
                    for turn in ("bare", "outbox") if number % 2 else ("outbox", "bare"):
                        await js.add_stream(StreamConfig(name=subjects.CERTS, subjects=[subjects.ANY_EVENT]))
                        if turn == "bare":
                            plain.append(await bare(broker.url, events, window))
                        else:
                            ours.append(await outbox(broker.url, store, events, window))
                        held = (await js.stream_info(subjects.CERTS)).state.messages
                        assert held == options.events, f"{turn}: {held} of {options.events} are in the stream"
                        await js.delete_stream(subjects.CERTS)
            rates = [statistics.median(item.rate for item in found) for found in (plain, ours)]
            costs = [statistics.median(item.cpu_ms for item in found) for found in (plain, ours)]
            table.add_row(
                str(window),
                *(f"{rate:,.0f}" for rate in rates),
                f"{rates[1] / rates[0]:.0%}",
                f"≥ {LEAST_RATIO:.0%}",
                *(f"{cost:.2f}" for cost in costs),
            )
        await client.close()
    Console().print(table)


if __name__ == "__main__":
    asyncio.run(main())

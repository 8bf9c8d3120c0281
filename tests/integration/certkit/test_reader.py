"""A reader neither floods a broker that refuses it, nor stays away when it may read again."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
import nats
import pytest
import pytest_asyncio
from faststream.nats import NatsMessage
from nats.js import JetStreamContext
from opentelemetry.sdk.trace import TracerProvider
from prometheus_client import CollectorRegistry

from certcore import subjects
from certcore.clock import system_clock
from certcore.identities import HUB, Service
from certkit.bus import make_broker, subscribe
from certkit.consumers import Consumers
from certkit.declare import declare
from certkit.reader import Reader
from certkit.settings import BusSettings
from certkit.telemetry import Telemetry
from certkit.topology import topology
from certlocal.nats_server import NatsServer
from tests import servers
from tests.patience import HANG_S

pytestmark = pytest.mark.integration

SUBJECT = "certs.ev.approved.c1"


class Bus:
    """A broker with the streams of no site, a client of it, and the issuer's reader."""

    def __init__(self, server: NatsServer, js: JetStreamContext) -> None:
        self.server = server
        self.js = js
        self.taken: list[bytes] = []
        self.may_read = True
        self.looked = 0
        self.let_go = asyncio.Event()
        self.let_go.set()

    async def take(self, message: NatsMessage) -> None:
        self.taken.append(message.body)
        await self.let_go.wait()

    def look(self) -> bool:
        self.looked += 1
        return self.may_read

    async def messages_in(self) -> int:
        """How many messages the broker has ever got from its clients."""
        async with httpx.AsyncClient(trust_env=False) as client:
            return int((await client.get(f"{self.server.monitor_url}/varz")).json()["in_msgs"])

    @asynccontextmanager
    async def reading(self, *, at_once: int = 1) -> AsyncIterator[tuple[Reader, Consumers]]:
        provider, metrics = TracerProvider(), CollectorRegistry()
        broker = make_broker(
            BusSettings(plain_text=True, url=self.server.url, identity="issuer"),
            place=HUB,
            service=Service.ISSUER,
            telemetry=Telemetry(provider, provider.get_tracer("test")),
            metrics=metrics,
        )
        reader = subscribe(
            broker,
            stream=subjects.CERTS,
            durable="issuer",
            identity="issuer",
            handlers=self.take,
            at_once=at_once,
            may_read=self.look,
        )
        async with broker:
            await broker.start()
            try:
                yield reader, Consumers(broker=broker, metrics=metrics, clock=system_clock)
            finally:
                self.let_go.set()


@pytest_asyncio.fixture
async def bus() -> AsyncIterator[Bus]:
    async with servers.broker(sites=[]) as server:
        client = await nats.connect(server.url)
        yield Bus(server, client.jetstream())
        await client.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(HANG_S):
        while not condition():  # noqa: ASYNC110 # the handler has no event for each
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("gone", ["consumer", "stream"])
async def test_a_consumer_that_vanished_is_asked_for_now_and_then_and_read_when_it_is_back(
    bus: Bus, gone: str
) -> None:
    async with bus.reading():
        await bus.js.publish(SUBJECT, b"before")
        await until(lambda: bus.taken == [b"before"])
        if gone == "consumer":
            await bus.js.delete_consumer(subjects.CERTS, "issuer")
        else:
            await bus.js.delete_stream(subjects.CERTS)
        before, computed = await bus.messages_in(), time.process_time()
        # The time in which is counted, no wait. It asks after 0.1, 0.2, 0.4 … s; without pauses, thousands of times.
        await asyncio.sleep(5)
        assert await bus.messages_in() - before < 20
        assert time.process_time() - computed < 1.0

        await declare(bus.js, topology([]), apply=True)
        await bus.js.publish(SUBJECT, b"after")
        await until(lambda: bus.taken[-1] == b"after")


async def test_a_reading_task_that_somebody_else_cancelled_is_begun_again(bus: Bus) -> None:
    async with bus.reading() as (reader, consumers):
        await consumers.look()
        for number in range(1, 4):
            for task in reader.tasks:
                task.cancel()
            await until(lambda: all(task.done() for task in reader.tasks))
            await bus.js.publish(SUBJECT, b"an event")
            await consumers.look()
            async with asyncio.timeout(HANG_S):
                while len(bus.taken) < number:  # noqa: ASYNC110 # the handler has no event for each
                    await asyncio.sleep(0.02)
        assert len(reader.tasks) == 1


async def test_one_that_handles_several_at_once_holds_no_more_than_these(bus: Bus) -> None:
    bus.let_go.clear()
    async with bus.reading(at_once=4):
        for number in range(20):
            await bus.js.publish(SUBJECT, b"%d" % number)
        await until(lambda: len(bus.taken) == 4)
        info = await bus.js.consumer_info(subjects.CERTS, "issuer")
        assert (info.num_ack_pending, info.num_pending) == (4, 16)
        bus.let_go.set()
        await until(lambda: len(bus.taken) == 20)
    assert sorted(bus.taken, key=int) == [b"%d" % number for number in range(20)], "each is begun once"


async def test_nothing_is_fetched_while_the_reader_may_not_read(bus: Bus) -> None:
    bus.may_read = False
    async with bus.reading(at_once=4):
        for number in range(3):
            await bus.js.publish(SUBJECT, b"%d" % number)
        looked = bus.looked
        await until(lambda: bus.looked >= looked + 3)
        info = await bus.js.consumer_info(subjects.CERTS, "issuer")
        assert (info.num_ack_pending, info.num_pending, info.num_redelivered) == (0, 3, 0)
        bus.may_read = True
        await until(lambda: len(bus.taken) == 3)
        info = await bus.js.consumer_info(subjects.CERTS, "issuer")
        assert info.num_redelivered == 0


async def test_a_reader_that_was_stopped_stays_so(bus: Bus) -> None:
    async with bus.reading() as (reader, _):
        assert not reader.resume()
        await reader.stop()
        assert not reader.resume()

"""What a service finds out about the consumers that it reads, with the rights that it has."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from faststream.nats import NatsMessage
from opentelemetry.sdk.trace import TracerProvider
from prometheus_client import CollectorRegistry

from certcore.identities import HUB, OPERATOR, Service
from certkit.bus import make_broker, subscribe
from certkit.consumers import Consumers
from certkit.declare import declare
from certkit.readiness import Finding
from certkit.settings import BusSettings
from certkit.streams import Streams
from certkit.telemetry import Telemetry
from certkit.topology import topology
from tests import servers
from tests.integration.certkit.person import Person
from tests.patience import HANG_S
from tests.servers import SITES, SecuredBroker

pytestmark = pytest.mark.integration

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
CHECK = "consumer CERTS/issuer"
LABELS = {"stream": "CERTS", "durable": "issuer"}


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


class Slow:
    """Holds what it is given until it is let go."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.let_go = asyncio.Event()

    async def __call__(self, _: NatsMessage) -> None:
        self.begun.set()
        await self.let_go.wait()


@dataclass
class Looking:
    consumers: Consumers
    streams: Streams
    metrics: CollectorRegistry
    clock: Clock
    handler: Slow

    def value(self, metric: str) -> float | None:
        return self.metrics.get_sample_value(metric, LABELS)

    async def found(self) -> Finding:
        await self.consumers.look()
        [finding] = self.consumers.findings()
        return finding

    async def until_well(self) -> None:
        async with asyncio.timeout(HANG_S):
            while await self.found() != Finding(check=CHECK):  # noqa: ASYNC110 # a look is a question to the broker
                await asyncio.sleep(0.02)


@pytest_asyncio.fixture
async def bus() -> AsyncIterator[SecuredBroker]:
    async with servers.secured_broker(owners=["payments"]) as secured:
        yield secured


@asynccontextmanager
async def looking(bus: SecuredBroker, identity: str, stream: str, durable: str) -> AsyncIterator[Looking]:
    provider, metrics, clock, handler = TracerProvider(), CollectorRegistry(), Clock(), Slow()
    broker = make_broker(
        BusSettings(plain_text=True, url=bus.url, identity=identity, nkey_seed_file=bus.seed_file(identity)),
        place=HUB,
        service=Service.ISSUER,
        telemetry=Telemetry(provider, provider.get_tracer("test")),
        metrics=metrics,
    )
    subscribe(broker, stream=stream, durable=durable, identity=identity, handlers=handler)
    consumers = Consumers(broker=broker, metrics=metrics, clock=clock)
    async with broker:
        await broker.start()
        yield Looking(consumers, Streams(broker=broker, metrics=metrics), metrics, clock, handler)
        handler.let_go.set()


@pytest.mark.parametrize(
    ("identity", "stream", "durable"),
    [
        ("registry", "REQUESTS", "requests-payments"),
        ("registry", "STATUS_site1", "registry"),
        ("registry", "ALERTS", "registry-alerts"),
        ("issuer", "CERTS", "issuer"),
        ("monitor", "CERTS", "monitor"),
        ("site1-syncer", "DEPLOY_site1", "site1-syncer"),
        ("site2-pusher", "DEPLOY_site2", "site2-pusher"),
        ("hub-pusher", "DEPLOY_hub", "hub-pusher"),
    ],
)
async def test_every_service_may_look_at_its_own(
    bus: SecuredBroker, identity: str, stream: str, durable: str
) -> None:
    async with looking(bus, identity, stream, durable) as look:
        assert await look.found() == Finding(check=f"consumer {stream}/{durable}")


async def test_what_waits_is_counted_and_who_reads_none_for_a_minute_is_not_ready(bus: SecuredBroker) -> None:
    async with Person(bus, "registry") as registry, looking(bus, "issuer", "CERTS", "issuer") as look:
        for number in range(3):
            await registry.client.jetstream().publish(f"certs.ev.approved.c{number}", b"{}")
        await asyncio.wait_for(look.handler.begun.wait(), HANG_S)
        waiting = Finding(check=CHECK, detail="2 messages wait, 1 are in hand", since=NOON)
        assert await look.found() == waiting
        assert (look.value("certbus_consumer_pending"), look.value("certbus_consumer_ack_pending")) == (2, 1)
        assert (look.value("certbus_consumer_redelivered"), look.value("certbus_consumer_stuck")) == (0, 0)
        look.clock.now += timedelta(seconds=59)
        assert await look.found() == waiting
        look.clock.now += timedelta(seconds=1)
        stuck = Finding(check=CHECK, problem="none is read: 2 messages wait, 1 are in hand", since=NOON)
        assert await look.found() == stuck
        assert look.value("certbus_consumer_stuck") == 1

        look.handler.let_go.set()
        await look.until_well()
        assert (look.value("certbus_consumer_pending"), look.value("certbus_consumer_stuck")) == (0, 0)


async def test_what_the_broker_lacks_is_named_since_when_and_is_well_again_when_it_is_back(
    bus: SecuredBroker,
) -> None:
    async with Person(bus, OPERATOR) as operator, looking(bus, "issuer", "CERTS", "issuer") as look:
        js = operator.client.jetstream()
        assert await look.found() == Finding(check=CHECK)
        assert look.value("certbus_consumer_present") == 1
        await js.delete_consumer("CERTS", "issuer")
        assert await look.found() == Finding(check=CHECK, problem="the broker has no consumer issuer", since=NOON)
        await js.delete_stream("CERTS")
        look.clock.now += timedelta(seconds=10)
        assert await look.found() == Finding(check=CHECK, problem="the broker has no stream CERTS", since=NOON)
        assert look.value("certbus_consumer_present") == 0
        await declare(js, topology(SITES, owners=["payments"]), apply=True)
        assert await look.found() == Finding(check=CHECK)
        assert look.value("certbus_consumer_present") == 1


async def test_a_broker_that_does_not_answer_is_no_missing_consumer(bus: SecuredBroker) -> None:
    async with looking(bus, "issuer", "CERTS", "issuer") as look:
        assert await look.found() == Finding(check=CHECK)
        pid = bus.server.process.pid or 0
        os.kill(pid, signal.SIGSTOP)
        try:
            assert await look.found() == Finding(check=CHECK, detail="the broker doesn't tell of it", since=NOON)
        finally:
            os.kill(pid, signal.SIGCONT)
        await look.until_well()


async def test_the_registry_sees_how_full_each_stream_is(bus: SecuredBroker) -> None:
    async with Person(bus, "site1-syncer") as syncer, looking(bus, "registry", "ALERTS", "registry-alerts") as look:
        await syncer.client.jetstream().publish("certs.dlq.site1.site1-syncer", b"a dead letter")
        await look.streams.look()

    def value(metric: str, stream: str) -> float | None:
        return look.metrics.get_sample_value(metric, {"stream": stream})

    wanted = topology(SITES, owners=["payments"])
    assert value("certbus_stream_messages", "DLQ_site1") == 1
    assert (value("certbus_stream_bytes", "DLQ_site1") or 0) > 0
    for config in wanted.streams:
        name = config.name or ""
        assert value("certbus_stream_bytes_limit", name) == config.max_bytes
        assert value("certbus_stream_messages", name) == (name == "DLQ_site1")

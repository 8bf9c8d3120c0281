"""A stream is read without a consumer, with the rights that the registry has."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import nats
import pytest
from faststream.nats import NatsBroker
from opentelemetry.sdk.trace import TracerProvider
from prometheus_client import CollectorRegistry

from certcore.errors import TransientError
from certcore.identities import HUB, Service
from certkit.bus import make_broker
from certkit.settings import BusSettings
from certkit.stream_messages import StreamMessages
from certkit.telemetry import Telemetry
from tests import servers
from tests.servers import SecuredBroker

pytestmark = pytest.mark.integration

MANY = 450
"""More than two requests fetch."""


@asynccontextmanager
async def messages_of(bus: SecuredBroker) -> AsyncIterator[tuple[NatsBroker, StreamMessages]]:
    provider = TracerProvider()
    settings = BusSettings(
        plain_text=True, url=bus.server.url, identity="registry", nkey_seed_file=bus.seed_file("registry")
    )
    broker = make_broker(
        settings,
        place=HUB,
        service=Service.REGISTRY,
        telemetry=Telemetry(provider, provider.get_tracer("test")),
        metrics=CollectorRegistry(),
    )
    async with broker:
        await broker.start()
        yield broker, StreamMessages(broker)


async def fill(bus: SecuredBroker) -> None:
    client = await nats.connect(
        bus.server.url, nkeys_seed=str(bus.seed_file("registry")), inbox_prefix=b"_INBOX.registry"
    )
    js = client.jetstream()
    sent = (js.publish(f"certs.ev.issued.c{number}", str(number).encode()) for number in range(MANY))
    await asyncio.gather(*sent)
    await js.publish("certs.ev.live.c1", b"last", headers={"ce-id": "e-1"})
    await client.close()


async def test_every_message_is_read_in_order_and_the_last_by_a_wildcard() -> None:
    async with servers.secured_broker() as bus, messages_of(bus) as (_, messages):
        await fill(bus)
        assert {"CERTS", "ANCHOR"} <= set(await messages.streams())
        found = [message async for message in messages.all("CERTS", "certs.ev.issued.>")]
        assert len(found) == MANY
        assert sorted(int(message.body) for message in found) == list(range(MANY))
        assert [message.sequence for message in found] == sorted(message.sequence for message in found)
        last = await messages.last("CERTS", "certs.ev.>")
        assert last is not None
        assert (last.subject, last.body, last.headers["ce-id"]) == ("certs.ev.live.c1", b"last", "e-1")
        assert await messages.last("CERTS", "certs.ev.denied.>") is None
        assert await messages.last("NOWHERE", "certs.ev.>") is None
        assert [message async for message in messages.all("CERTS", "certs.ev.denied.>")] == []
        with pytest.raises(TransientError, match="NOWHERE"):
            [message async for message in messages.all("NOWHERE", "certs.ev.>")]

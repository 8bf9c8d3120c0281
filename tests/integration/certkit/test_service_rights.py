"""Every service does its work with the rights that it is granted, and no others."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
import pytest_asyncio
from faststream.nats import NatsBroker
from nats.aio.client import Client
from nats.js.errors import NotFoundError
from opentelemetry.sdk.trace import TracerProvider
from prometheus_client import CollectorRegistry

from certcore import events, subjects
from certcore.cloudevents import Envelope
from certcore.errors import PermanentError
from certcore.events import Event
from certcore.identities import ALERTS_DURABLE, HUB, OPERATOR, READS_REPORTS
from certkit.bus import EventPublisher, make_broker, subscribe
from certkit.settings import BusSettings
from certkit.telemetry import Telemetry
from tests import servers
from tests.integration.certkit.person import Person
from tests.patience import HANG_S
from tests.servers import SecuredBroker

pytestmark = pytest.mark.integration


@pytest_asyncio.fixture
async def bus() -> AsyncIterator[SecuredBroker]:
    async with servers.secured_broker(owners=["payments"]) as secured:
        yield secured


class Recorder:
    """Takes the first event, refuses the second for good."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.both = asyncio.Event()

    async def __call__(self, _: Event, envelope: Envelope) -> None:
        self.taken.append(envelope.id)
        if len(self.taken) == 2:
            self.both.set()
            raise PermanentError("refused for the sake of its dead letter")


def _broker(bus: SecuredBroker, identity: str, place: str) -> NatsBroker:
    provider = TracerProvider()
    return make_broker(
        BusSettings(plain_text=True, url=bus.url, identity=identity, nkey_seed_file=bus.seed_file(identity)),
        place=place,
        service=identity,
        telemetry=Telemetry(provider, provider.get_tracer("test")),
        metrics=CollectorRegistry(),
    )


@dataclass(frozen=True)
class Work:
    """What one service consumes, where its dead letters lie, and who publishes it."""

    consumer: str
    place: str
    stream: str
    durable: str
    publisher: str
    subject: str


@pytest.mark.parametrize(
    "work",
    [
        Work(
            *("registry", HUB, subjects.REQUESTS, "requests-payments"),
            *("owner-payments", "certs.request.payments.submit"),
        ),
        Work(
            *("registry", HUB, "STATUS_site2", READS_REPORTS),
            *("site2-pusher", "certs.status.site2.pusher.delivery_failed.c1"),
        ),
        Work(
            *("registry", HUB, "STATUS_hub", READS_REPORTS),
            *("hub-pusher", "certs.status.hub.pusher.delivery_failed.c1"),
        ),
        Work(
            *("registry", HUB, "LAST_site1", READS_REPORTS),
            *("site1-syncer", "certs.last.site1.syncer.heartbeat.syncer"),
        ),
        Work(*("registry", HUB, "LAST_hub", READS_REPORTS), *("monitor", "certs.last.hub.monitor.observed.k")),
        Work(*("registry", HUB, subjects.ALERTS, ALERTS_DURABLE), *("monitor", "certs.alert.payments.a1")),
        Work(*("issuer", HUB, subjects.CERTS, "issuer"), *("registry", "certs.ev.approved.c1")),
        Work(*("monitor", HUB, subjects.CERTS, "monitor"), *("registry", "certs.ev.expected.c1")),
        Work(
            *("site1-syncer", "site1", "DEPLOY_site1", "site1-syncer"),
            *("registry", "certs.deploy.site1.syncer.c1"),
        ),
        Work(
            *("site2-pusher", "site2", "DEPLOY_site2", "site2-pusher"),
            *("registry", "certs.deploy.site2.pusher.c1.csr.edge"),
        ),
        Work(*("hub-pusher", HUB, "DEPLOY_hub", "hub-pusher"), *("registry", "certs.deploy.hub.pusher.c1")),
    ],
    ids=lambda work: f"{work.stream}-{work.durable}",
)
async def test_a_service_does_its_work_under_exactly_these_rights(bus: SecuredBroker, work: Work) -> None:
    recorder = Recorder()
    receiving, sending = _broker(bus, work.consumer, work.place), _broker(bus, work.publisher, HUB)
    subscribe(
        receiving,
        stream=work.stream,
        durable=work.durable,
        identity=work.consumer,
        handlers={events.SiteHeartbeat: recorder},
    )
    sender = EventPublisher(broker=sending, source="test", clock=lambda: datetime(2026, 1, 1, tzinfo=UTC))
    heartbeat = events.SiteHeartbeat(site="site1", service="syncer", version="1")
    await sending.start()
    await receiving.start()
    try:
        # One after the other: a deploy stream keeps only the newest of a subject.
        sent = []
        for number in (1, 2):
            sent.append(await sender.publish(heartbeat, subject=work.subject, stream=work.stream, about="site1"))
            async with asyncio.timeout(HANG_S):
                while len(recorder.taken) < number:  # noqa: ASYNC110 # the recorder has no event for each
                    await asyncio.sleep(0.01)
        async with Person(bus, OPERATOR) as operator:
            letter = await _eventually(operator.client, work.place, work.durable)
            info = await operator.client.jetstream().consumer_info(work.stream, work.durable)
    finally:
        await receiving.stop()
        await sending.stop()

    assert recorder.taken == sent
    assert letter["certbus-error"].startswith("PermanentError")
    assert (info.num_redelivered, info.num_pending) == (0, 0)


async def _eventually(client: Client, place: str, durable: str) -> dict[str, str]:
    """The headers of the newest dead letter of a consumer, waited for."""
    stream, subject = subjects.dead_letter_stream(place), subjects.dead_letter(place, durable)
    async with asyncio.timeout(HANG_S):
        while True:
            try:
                found = await client.jetstream().get_last_msg(stream, subject)
            except NotFoundError:
                await asyncio.sleep(0.02)
                continue
            return found.headers or {}

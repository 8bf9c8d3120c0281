"""Places and owners that are declared while a service runs are read, and one of them holds up no other."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import nats
import pytest
from faststream.nats import NatsBroker, NatsMessage
from nats.js import JetStreamContext
from opentelemetry.sdk.trace import TracerProvider
from prometheus_client import CollectorRegistry

from certcore import subjects
from certcore.clock import system_clock
from certcore.cloudevents import Envelope
from certcore.events import Event, SiteHeartbeat
from certcore.identities import HUB, OPERATOR, READS_REPORTS, REQUESTS_DURABLES, Service
from certkit.background import end_tasks
from certkit.bus import make_broker
from certkit.declare import declare
from certkit.discovery import Discovery, EachConsumer, EachStream
from certkit.readiness import Finding
from certkit.settings import BusSettings
from certkit.telemetry import Telemetry
from certkit.topology import topology
from tests import servers
from tests.integration.certkit.person import Person

pytestmark = pytest.mark.integration


class Recorder:
    """Takes requests and reports; a request of `slow` is held until it is let go."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.let_go = asyncio.Event()

    async def on_request(self, message: NatsMessage) -> None:
        owner = subjects.owner_of_request(message.raw_message.subject)
        if owner == "slow":
            await self.let_go.wait()
        self.taken.append(owner)

    async def on_report(self, _: Event, envelope: Envelope) -> None:
        self.taken.append(envelope.subject)


def _broker(url: str, seed_file: Path | None = None) -> NatsBroker:
    provider = TracerProvider()
    telemetry = Telemetry(provider, provider.get_tracer("test"))
    settings = BusSettings(plain_text=True, url=url, identity="registry", nkey_seed_file=seed_file)
    return make_broker(
        settings, place=HUB, service=Service.REGISTRY, telemetry=telemetry, metrics=CollectorRegistry()
    )


def _discovery(broker: NatsBroker, recorder: Recorder, *, every_s: float) -> Discovery:
    return Discovery(
        broker=broker,
        identity="registry",
        rules=(
            EachStream(subjects.STATUS, READS_REPORTS, {SiteHeartbeat: recorder.on_report}),
            EachStream(subjects.LAST, READS_REPORTS, {SiteHeartbeat: recorder.on_report}),
            EachConsumer(subjects.REQUESTS, REQUESTS_DURABLES, recorder.on_request),
        ),
        clock=system_clock,
        every_s=every_s,
    )


@asynccontextmanager
async def _looking(url: str, recorder: Recorder, *, every_s: float = 0.1) -> AsyncIterator[Discovery]:
    broker = _broker(url)
    discovery = _discovery(broker, recorder, every_s=every_s)
    async with broker:
        await broker.start()
        looking = asyncio.create_task(discovery.run())
        try:
            yield discovery
        finally:
            # A single cancellation may be lost in a request to the broker.
            await end_tasks([looking])


@asynccontextmanager
async def _bus(url: str) -> AsyncIterator[JetStreamContext]:
    client = await nats.connect(url)
    yield client.jetstream()
    await client.close()


async def _until(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 # the recorder has no event for each
            await asyncio.sleep(0.02)


async def _beat(js: JetStreamContext, site: str) -> str:
    event = SiteHeartbeat(site=site, service="syncer", version="1")
    route = subjects.route(event, place=site, service="syncer", about=site)
    await js.publish(route.subject, event.model_dump_json().encode(), headers={"ce-type": event.type, "ce-id": "1"})
    return route.subject


async def test_places_and_owners_that_are_declared_later_are_read(nats_url: str) -> None:
    recorder = Recorder()
    async with _bus(nats_url) as js, _looking(nats_url, recorder) as discovery:
        assert discovery.reading == []
        await declare(js, topology(["site1"], owners=["payments"]), apply=True)
        first = await _beat(js, "site1")
        await js.publish(subjects.request("payments"), b"{}")
        await _until(lambda: set(recorder.taken) == {first, "payments"})

        await declare(js, topology(["site1", "site2"], owners=["payments", "web"]), apply=True)
        second = await _beat(js, "site2")
        await js.publish(subjects.request("web"), b"{}")
        await _until(lambda: set(recorder.taken) == {first, "payments", second, "web"})


async def test_who_is_told_looks_at_once(nats_url: str) -> None:
    recorder = Recorder()
    async with _bus(nats_url) as js, _looking(nats_url, recorder, every_s=600) as discovery:
        await declare(js, topology(["site1"]), apply=True)
        expected = await _beat(js, "site1")
        discovery.look_soon()
        await _until(lambda: recorder.taken == [expected])


async def test_a_stream_that_vanished_breaks_no_other_and_is_read_when_it_is_back(nats_url: str) -> None:
    recorder = Recorder()
    async with _bus(nats_url) as js, _looking(nats_url, recorder) as discovery:
        wanted = topology(["site1", "site2"], owners=["payments"])
        await declare(js, wanted, apply=True)
        await _until(lambda: len(discovery.reading) == 7)
        for name in ("LAST_site1", "STATUS_site1", "REQUESTS"):
            await js.delete_stream(name)
        await _until(lambda: len(discovery.reading) == 4)
        told = {finding.check: finding for finding in discovery.findings()}
        assert told.keys() == {
            "discovery",
            "stream REQUESTS",
            "consumer LAST_site1/registry",
            "consumer STATUS_site1/registry",
            "consumer REQUESTS/requests-payments",
        }
        assert [check for check, finding in told.items() if finding.problem] == ["stream REQUESTS"]
        other = await _beat(js, "site2")
        await _until(lambda: recorder.taken == [other])

        await declare(js, wanted, apply=True)
        back = await _beat(js, "site1")
        await js.publish(subjects.request("payments"), b"{}")
        await _until(lambda: set(recorder.taken) == {other, back, "payments"})
        assert discovery.findings() == [Finding(check="discovery")]


async def test_a_slow_and_a_flooding_owner_hold_up_no_other(nats_url: str) -> None:
    recorder = Recorder()
    async with _bus(nats_url) as js:
        await declare(js, topology([], owners=["slow", "flood", "other"]), apply=True)
        await js.publish(subjects.request("slow"), b"{}")
        for _ in range(200):
            await js.publish(subjects.request("flood"), b"{}")
        await js.publish(subjects.request("other"), b"{}")
        async with _looking(nats_url, recorder):
            await _until(lambda: "other" in recorder.taken)
            assert recorder.taken.count("flood") < 100
            assert "slow" not in recorder.taken
            recorder.let_go.set()
            await _until(lambda: len(recorder.taken) == 202)


async def test_a_stream_without_its_consumer_waits_and_gets_none_of_the_service_s_making(nats_url: str) -> None:
    async with _bus(nats_url) as js:
        await js.add_stream(topology(["site1"]).stream("STATUS_site1"))
        broker = _broker(nats_url)
        discovery = _discovery(broker, Recorder(), every_s=600)
        async with broker:
            await broker.start()
            await discovery.look()
        assert discovery.reading == []
        assert await js.consumers_info("STATUS_site1") == []


async def test_it_needs_no_right_but_the_registry_s() -> None:
    """Also a site that was declared after the registry's rights were written is read."""
    recorder = Recorder()
    async with servers.secured_broker(sites=["site1"], owners=["payments"]) as bus:
        broker = _broker(bus.url, bus.seed_file("registry"))
        discovery = _discovery(broker, recorder, every_s=600)
        async with Person(bus, OPERATOR) as operator, Person(bus, "site1-syncer") as syncer, broker:
            await broker.start()
            wanted = topology(["site1", "site2"], owners=["payments", "web"])
            await declare(operator.client.jetstream(), wanted, apply=True)
            await discovery.look()
            beat = await _beat(syncer.client.jetstream(), "site1")
            await _until(lambda: recorder.taken == [beat])

    assert discovery.reading == sorted(
        [("REQUESTS", f"requests-{owner}") for owner in ("payments", "web")]
        + [(f"{kind}_{place}", "registry") for kind in ("LAST", "STATUS") for place in ("hub", "site1", "site2")]
    )


async def test_who_may_not_list_says_so() -> None:
    async with servers.secured_broker(sites=["site1"]) as bus:
        broker = _broker(bus.url, bus.seed_file("issuer"))
        discovery = _discovery(broker, Recorder(), every_s=600)
        async with broker:
            await broker.start()
            looking = asyncio.create_task(discovery.run())
            await _until(lambda: "STREAM.NAMES wasn't answered" in str(discovery.findings()))
            await end_tasks([looking])

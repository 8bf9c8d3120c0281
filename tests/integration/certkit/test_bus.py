"""Failures on a real broker: tried again with growing delay, or set aside with their reason, in nobody's way."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import nats
import pytest
from prometheus_client import CollectorRegistry

from certcore import subjects
from certcore.clock import system_clock
from certcore.cloudevents import Envelope
from certcore.errors import PermanentError, TransientError
from certcore.events import EndpointsExpected
from certcore.identities import HUB, Service, durable
from certkit.bus import EventPublisher, make_broker, subscribe
from certkit.failure_policy import FailureLimits
from certkit.settings import BusSettings, TelemetrySettings
from certkit.telemetry import configure_telemetry
from tests.patience import HANG_S

pytestmark = pytest.mark.integration

_MONITOR = durable(HUB, Service.MONITOR)
_LETTERS = subjects.dead_letter_stream(HUB)
_LIMITS = FailureLimits(base_delay=timedelta(seconds=0.2), max_tries=3)


class Recorder:
    def __init__(self, failure: Exception | None = None) -> None:
        self.seen: list[tuple[str, int, float]] = []
        self._failure = failure

    async def __call__(self, event: EndpointsExpected, envelope: Envelope) -> None:
        self.seen.append((event.name, envelope.tries, asyncio.get_running_loop().time()))
        if event.name == "bad" and self._failure is not None:
            raise self._failure


@asynccontextmanager
async def _consuming(url: str, recorder: Recorder, trace_file: Path) -> AsyncIterator[EventPublisher]:
    telemetry = configure_telemetry("test", TelemetrySettings(trace_file=trace_file))
    settings = BusSettings(plain_text=True, url=url, identity="monitor")
    broker = make_broker(
        settings, place=HUB, service="test", telemetry=telemetry, metrics=CollectorRegistry(), limits=_LIMITS
    )
    subscribe(
        broker,
        stream=subjects.CERTS,
        durable=_MONITOR,
        identity="monitor",
        handlers={EndpointsExpected: recorder},
    )
    async with broker:
        await broker.start()
        yield EventPublisher(broker=broker, source="test", clock=system_clock)
    telemetry.provider.shutdown()


def _event(name: str) -> EndpointsExpected:
    return EndpointsExpected(certificate_id="c1", name=name, owner="o", endpoints=(), generation=1)


async def _publish(publisher: EventPublisher, name: str) -> str:
    subject = subjects.event(EndpointsExpected.type, "c1")
    return await publisher.publish(_event(name), subject=subject, stream=subjects.CERTS, about="c1")


async def _until(condition: Callable[[], Awaitable[bool]], timeout_s: float = HANG_S) -> None:
    async with asyncio.timeout(timeout_s):
        while not await condition():  # noqa: ASYNC110 # what the broker holds has no event of ours
            await asyncio.sleep(0.05)


async def _dead_letters(url: str, count: int) -> list[dict[str, str]]:
    client = await nats.connect(url)
    js = client.jetstream()

    async def there() -> bool:
        return (await js.stream_info(_LETTERS)).state.messages >= count

    await _until(there)
    found = [(await js.get_msg(_LETTERS, number)).headers or {} for number in range(1, count + 1)]
    await client.close()
    return found


async def test_a_transient_failure_is_tried_again_and_blocks_nobody(declared_bus: str, tmp_path: Path) -> None:
    recorder = Recorder(TransientError("the other side is away"))
    async with _consuming(declared_bus, recorder, tmp_path / "trace.jsonl") as publisher:
        bad = await _publish(publisher, "bad")
        await _publish(publisher, "good")
        letters = await _dead_letters(declared_bus, 1)
    times = [when for name, _, when in recorder.seen if name == "bad"]
    assert [tries for name, tries, _ in recorder.seen if name == "bad"] == [1, 2, 3]
    assert times[1] - times[0] >= 0.2
    assert times[2] - times[1] >= 0.4
    assert [name for name, _, _ in recorder.seen][:2] == ["bad", "good"]
    assert letters[0]["certbus-fate"] == "too_many_tries"
    assert letters[0]["certbus-durable"] == _MONITOR
    assert letters[0]["ce-id"] == bad


async def test_a_permanent_failure_is_set_aside_after_one_try(declared_bus: str, tmp_path: Path) -> None:
    recorder = Recorder(PermanentError("it will never fit"))
    async with _consuming(declared_bus, recorder, tmp_path / "trace.jsonl") as publisher:
        await _publish(publisher, "bad")
        letters = await _dead_letters(declared_bus, 1)
    assert len(recorder.seen) == 1
    assert letters[0]["certbus-fate"] == "permanent"
    assert letters[0]["certbus-error"] == "PermanentError: it will never fit"


@pytest.mark.parametrize(
    ("body", "event_type", "fate"),
    [
        (b"{broken", EndpointsExpected.type, "invalid_payload"),
        (b"{}", EndpointsExpected.type, "invalid_payload"),
        (b"[1,2]", EndpointsExpected.type, "invalid_payload"),
        (b"\xff\xfe", EndpointsExpected.type, "invalid_payload"),
        (b"{}", "certbus.endpoints.expected.v9", "permanent"),
        (b"{}", "", "permanent"),
    ],
)
async def test_what_can_not_be_read_or_is_unknown_is_parked_and_the_next_is_handled(
    declared_bus: str, tmp_path: Path, body: bytes, event_type: str, fate: str
) -> None:
    recorder = Recorder()
    client = await nats.connect(declared_bus)
    subject = subjects.event(EndpointsExpected.type, "c1")
    headers = {"ce-type": event_type} if event_type else None
    await client.jetstream().publish(subject, body, headers=headers)
    async with _consuming(declared_bus, recorder, tmp_path / "trace.jsonl") as publisher:
        await _publish(publisher, "good")
        letters = await _dead_letters(declared_bus, 1)

        async def handled() -> bool:
            return len(recorder.seen) == 1

        await _until(handled)
    assert letters[0]["certbus-fate"] == fate
    stored = await client.jetstream().get_msg(_LETTERS, 1)
    assert (stored.data or b"") == body
    await client.close()


async def test_a_publish_that_no_stream_takes_is_a_transient_error(declared_bus: str, tmp_path: Path) -> None:
    async with _consuming(declared_bus, Recorder(), tmp_path / "trace.jsonl") as publisher:
        with pytest.raises(TransientError, match="didn't store"):
            await publisher.publish(_event("x"), subject="nobody.listens", stream=subjects.CERTS, about="c1")


async def test_the_same_event_id_is_stored_once(declared_bus: str, tmp_path: Path) -> None:
    recorder = Recorder()
    async with _consuming(declared_bus, recorder, tmp_path / "trace.jsonl") as publisher:
        subject = subjects.event(EndpointsExpected.type, "c1")
        for _ in range(3):
            await publisher.publish(
                _event("good"), subject=subject, stream=subjects.CERTS, about="c1", event_id="one-and-the-same"
            )
        await _publish(publisher, "last")

        async def heard() -> bool:
            return any(name == "last" for name, _, _ in recorder.seen)

        await _until(heard)
    assert [name for name, _, _ in recorder.seen] == ["good", "last"]

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from faststream.nats import NatsBroker
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from prometheus_client import CollectorRegistry

from certkit.background import Background
from certkit.lifecycle import ServiceApp, service_app
from certkit.readiness import Finding, Readiness
from certkit.restarts import RestartLimits
from certkit.telemetry import Telemetry

Story = list[str]


class Bus(NatsBroker):
    """No network: it tells when it is started and stopped, and answers while it is up."""

    def __init__(self, story: Story) -> None:
        super().__init__()
        self._story = story
        self.up = False

    async def start(self) -> None:
        self._story.append("bus connected")
        self.up = True

    async def stop(self, *_: Any) -> None:
        self._story.append("bus closed")
        self.up = False

    async def ping(self, timeout: float | None) -> bool:  # noqa: ARG002, ASYNC109 # the broker's own form
        return self.up


class Exported(SpanProcessor):
    def __init__(self, story: Story) -> None:
        self._story = story

    def on_end(self, span: ReadableSpan) -> None:
        self._story.append(f"span {span.name}")

    def shutdown(self) -> None:
        self._story.append("telemetry shut down")


def telemetry(story: Story) -> Telemetry:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(Exported(story))
    return Telemetry(provider, provider.get_tracer("test"))


def hook(story: Story, name: str, *, fails: bool = False) -> Callable[[], Awaitable[None]]:
    async def tell() -> None:
        story.append(name)
        if fails:
            raise ConnectionError(name)

    return tell


@asynccontextmanager
async def resource(story: Story, name: str) -> AsyncIterator[None]:
    story.append(f"{name} opened")
    try:
        yield
    finally:
        story.append(f"{name} closed")


def made() -> Background:
    limits = RestartLimits(first_pause=timedelta(0), longest_pause=timedelta(0))
    return Background(
        service="test", metrics=CollectorRegistry(), clock=lambda: datetime(2026, 1, 1, tzinfo=UTC), limits=limits
    )


async def reached() -> Finding:
    return Finding(check="bus")


def service(story: Story, *, background: Background, traced: Telemetry, fails: str = "") -> ServiceApp:
    bus = Bus(story)
    return service_app(
        bus,
        telemetry=traced,
        metrics=CollectorRegistry(),
        readiness=Readiness(bus=reached),
        background=background,
        before=[hook(story, "before", fails=fails == "before")],
        resources=[resource(story, "database"), resource(story, "registry")],
        after_start=[hook(story, "after start", fails=fails == "after start")],
        at_shutdown=[hook(story, "drained", fails=fails == "drained")],
    )


async def test_everything_starts_in_order_and_ends_in_the_other_with_telemetry_last() -> None:
    story: Story = []
    traced, background, running = telemetry(story), made(), asyncio.Event()

    async def work() -> None:
        with traced.tracer.start_as_current_span("last work"):
            story.append("background begun")
            running.set()
            await asyncio.Event().wait()

    background.add("work", work)
    async with service(story, background=background, traced=traced).start_lifespan_context():
        await asyncio.wait_for(running.wait(), timeout=10)
        story.append("serving")
    assert story == [
        "before",
        "database opened",
        "registry opened",
        "bus connected",
        "after start",
        "background begun",
        "serving",
        "drained",
        "span last work",
        "bus closed",
        "registry closed",
        "database closed",
        "telemetry shut down",
    ]


async def test_where_a_first_step_breaks_off_nothing_else_is_begun() -> None:
    story: Story = []
    app = service(story, background=made(), traced=telemetry(story), fails="before")
    with pytest.raises(ConnectionError, match="before"):
        async with app.start_lifespan_context():
            story.append("serving")
    assert story == ["before", "telemetry shut down"]


@pytest.mark.parametrize("fails", ["after start", "drained"])
async def test_what_breaks_off_later_still_closes_what_was_opened_and_exports_the_last_spans(fails: str) -> None:
    story: Story = []
    app = service(story, background=made(), traced=telemetry(story), fails=fails)
    with pytest.raises(ConnectionError, match=fails):
        async with app.start_lifespan_context():
            pass
    assert story[-4:] == ["bus closed", "registry closed", "database closed", "telemetry shut down"]


async def test_a_background_that_gave_up_is_told_to_whoever_runs_the_service() -> None:
    story: Story = []
    background = made()

    async def ends() -> None:
        story.append("work ended")

    background.add("writer", ends, vital=True)
    app = service(story, background=background, traced=telemetry(story))
    assert app.gave_up() is None
    async with app.start_lifespan_context(), asyncio.timeout(10):
        while app.gave_up() is None:  # noqa: ASYNC110 # a task that ends has no event of ours
            await asyncio.sleep(0)
    assert app.gave_up() == "task writer: returned"
    assert story[-4:] == ["bus closed", "registry closed", "database closed", "telemetry shut down"]

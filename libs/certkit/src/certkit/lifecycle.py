"""Builds the application of a service that consumes events: what starts and stops, and in which order."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from faststream.asgi import AsgiFastStream
from faststream.nats import NatsBroker
from prometheus_client import CollectorRegistry

from certkit.background import Background
from certkit.readiness import Readiness
from certkit.service import health_routes
from certkit.telemetry import Telemetry

__all__ = ["ServiceApp", "service_app"]

Hook = Callable[[], Awaitable[None]]


class ServiceApp(AsgiFastStream):
    """An application whose background may give up: `certkit.service.run` then ends the process."""

    background: Background

    def gave_up(self) -> str | None:
        return self.background.gave_up


def service_app(
    broker: NatsBroker,
    *,
    telemetry: Telemetry,
    metrics: CollectorRegistry,
    readiness: Readiness,
    background: Background,
    before: Sequence[Hook] = (),
    resources: Sequence[AbstractAsyncContextManager[object]] = (),
    after_start: Sequence[Hook] = (),
    at_shutdown: Sequence[Hook] = (),
) -> ServiceApp:
    """`before` runs before the broker is connected, `after_start` after it; then the background starts.

    At a signal nothing new is accepted, `at_shutdown` finishes what was begun, the background is stopped, the
    resources are closed in reverse order, and the remaining spans are exported. The bus is left also where the start
    or the end breaks off.
    """
    stopped = False

    async def note_stopped() -> None:
        nonlocal stopped
        stopped = True

    async def leave_bus() -> None:
        # FastStream stops the broker only at an end that broke off nowhere.
        if not stopped:
            await background.stop()
            await broker.stop()

    async def leave() -> None:
        background.leave()

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.callback(telemetry.provider.shutdown)
            for hook in before:
                await hook()
            for resource in resources:
                await stack.enter_async_context(resource)
            stack.push_async_callback(leave_bus)
            yield

    app = ServiceApp(
        broker,
        logger=None,
        lifespan=lifespan,
        asgi_routes=health_routes(readiness=readiness, metrics=metrics),
        after_startup=[*after_start, background.start],
        on_shutdown=[leave, *at_shutdown, background.stop],
        after_shutdown=[note_stopped],
    )
    app.background = background
    return app

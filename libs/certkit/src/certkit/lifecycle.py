"""Builds the application of a service that consumes events: what starts and stops, in order, and when it is ready."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from faststream.asgi import AsgiFastStream
from faststream.nats import NatsBroker
from prometheus_client import CollectorRegistry

from certkit.background import Background
from certkit.service import Readiness, health_routes
from certkit.telemetry import Telemetry

__all__ = ["readiness_of", "service_app"]

Hook = Callable[[], Awaitable[None]]


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
) -> AsgiFastStream:
    """`before` runs before the broker is connected, `after_start` after it; then the background starts.

    At a signal nothing new is accepted, `at_shutdown` finishes what was begun, the background is stopped, the
    resources are closed in reverse order, and the remaining spans are exported.
    """

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.callback(telemetry.provider.shutdown)
            for hook in before:
                await hook()
            for resource in resources:
                await stack.enter_async_context(resource)
            yield

    return AsgiFastStream(
        broker,
        logger=None,
        lifespan=lifespan,
        asgi_routes=health_routes(readiness=readiness, metrics=metrics),
        after_startup=[*after_start, background.start],
        on_shutdown=[*at_shutdown, background.stop],
    )


def readiness_of(broker: NatsBroker, background: Background, *checks: Callable[[], str | None]) -> Readiness:
    """Ready where the bus answers, no background task has ended, and no check names a reason."""

    async def readiness() -> str | None:
        if not await broker.ping(timeout=1.0):
            return "the bus can't be reached"
        if background.ended:
            return f"ended: {', '.join(background.ended)}"
        return next((reason for check in checks if (reason := check()) is not None), None)

    return readiness

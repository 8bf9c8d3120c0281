"""The application of a process that isn't on the bus: health, metrics, and rounds in the background."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any

from faststream.asgi import AsgiResponse
from faststream.asgi.types import Receive, Scope, Send
from prometheus_client import CollectorRegistry

from certkit.background import Background
from certkit.readiness import Readiness
from certkit.service import health_routes
from certkit.telemetry import Telemetry

__all__ = ["BuslessApp"]


class BuslessApp:
    """As `certkit.lifecycle.service_app`: the resources are opened, then the background starts; the end is the other
    way round.
    """

    def __init__(
        self,
        *,
        telemetry: Telemetry,
        metrics: CollectorRegistry,
        readiness: Readiness,
        background: Background,
        resources: Sequence[AbstractAsyncContextManager[object]] = (),
    ) -> None:
        self._routes = dict(health_routes(readiness=readiness, metrics=metrics))
        self._telemetry = telemetry
        self._background = background
        self._resources = resources

    def gave_up(self) -> str | None:
        return self._background.gave_up

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            missing: Any = AsgiResponse(b"not found", status_code=404)
            await self._routes.get(scope["path"], missing)(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        # What breaks off here ends the process: the server sees that the start failed.
        async with AsyncExitStack() as stack:
            stack.callback(self._telemetry.provider.shutdown)
            for resource in self._resources:
                await stack.enter_async_context(resource)
            stack.push_async_callback(self._background.stop)
            await self._background.start()
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

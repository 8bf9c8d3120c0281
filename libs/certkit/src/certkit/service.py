"""How a service meets the machine: health, metrics, signals. Each `__main__` calls `run`."""

import asyncio
import logging
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from types import FrameType
from typing import Final

import uvicorn
from faststream.asgi import AsgiResponse, get
from faststream.asgi.types import ASGIApp, Receive, Scope, Send
from prometheus_client import CollectorRegistry, make_asgi_app
from uvicorn.lifespan.on import LifespanOn

from certcore.instance import INSTANCE_VARIABLE, instance_headers
from certkit.settings import HttpSettings

__all__ = ["Readiness", "health_routes", "run"]

_KEEP_ALIVE_S: Final = 120
"""So long an idle connection stays: longer than the pauses between a client's rounds, so they need no handshake."""

Readiness = Callable[[], Awaitable[str | None]]
"""Returns None where the service can do its work, else the reason why not."""


class _Metrics:
    """An object, not a function: routers take it for an ASGI application."""

    def __init__(self, metrics: CollectorRegistry) -> None:
        self._app = make_asgi_app(metrics)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


def health_routes(*, readiness: Readiness, metrics: CollectorRegistry) -> Sequence[tuple[str, ASGIApp]]:
    """/healthz: the process answers. /readyz: it can do its work, else 503 with the reason. /metrics: Prometheus.

    By a header of the first two, the launcher recognises this process: see `certcore.instance`.
    """
    headers = instance_headers(os.environ.get(INSTANCE_VARIABLE, ""))

    @get
    async def healthz(_: object) -> AsgiResponse:
        return AsgiResponse(b"ok", status_code=200, headers=headers)

    @get
    async def readyz(_: object) -> AsgiResponse:
        reason = await readiness()
        return AsgiResponse((reason or "ready").encode(), status_code=503 if reason else 200, headers=headers)

    return [("/healthz", healthz), ("/readyz", readyz), ("/metrics", _Metrics(metrics))]


class _Server(uvicorn.Server):
    """Tells the application at the signal, not when the last connection has ended: some never end by themselves.

    It ends when the application's start broke off, also behind its back: a service that answers its health check but
    consumes nothing would deceive everybody.
    """

    def __init__(self, config: uvicorn.Config, leave: Callable[[], None] | None) -> None:
        super().__init__(config)
        self._leave = leave
        self.broke_off = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._leave is not None:
            self._leave()
        super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        self.broke_off = isinstance(self.lifespan, LifespanOn) and self.lifespan.error_occurred
        return self.broke_off or await super().on_tick(counter)


def run(app: ASGIApp, http: HttpSettings, *, leave: Callable[[], None] | None = None) -> None:
    """Serve until SIGTERM or SIGINT, then drain: what was begun is finished, nothing new is taken.

    `leave` is called in the signal handler, so that long answers (event streams) can end. The process is left with
    exit code 3 where the service could not start, for whoever supervises it to try again.
    """
    tls = http.tls_context()
    config = uvicorn.Config(
        app,
        host=http.host,
        port=http.port,
        ssl_context_factory=(lambda *_: tls) if tls is not None else None,
        log_config=None,
        log_level=logging.WARNING,
        access_log=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=5,
        lifespan="on",
    )
    server = _Server(config, leave)
    asyncio.run(server.serve())
    if server.broke_off or not server.started:
        sys.exit(3)

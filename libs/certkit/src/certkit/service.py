"""How a service meets the machine: health, metrics, signals. Each `__main__` calls `run`."""

import asyncio
import gc
import logging
import os
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Final

import structlog
import uvicorn
import uvloop
from faststream.asgi import AsgiResponse, get
from faststream.asgi.types import ASGIApp, Receive, Scope, Send
from prometheus_client import CollectorRegistry, make_asgi_app
from uvicorn.lifespan.on import LifespanOn

from certcore.instance import INSTANCE_VARIABLE, instance_headers
from certkit.readiness import Readiness
from certkit.settings import HttpSettings

__all__ = ["health_routes", "run"]

_KEEP_ALIVE_S: Final = 120
"""So long an idle connection stays: longer than the pauses between a client's rounds, so they need no handshake."""
_YOUNG: Final = 20_000
"""So many new objects make a search for garbage, instead of 700: most of ours die with their reference count."""

log = structlog.get_logger()

_BROKE_OFF: Final = 3
"""Exit code: whoever supervises the process is to start it again."""
_LAST_WORK_S: Final = 60.0
"""So long a process that gave up may take for its end."""


class _Metrics:
    """An object, not a function: routers take it for an ASGI application."""

    def __init__(self, metrics: CollectorRegistry) -> None:
        self._app = make_asgi_app(metrics)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


def health_routes(*, readiness: Readiness, metrics: CollectorRegistry) -> Sequence[tuple[str, ASGIApp]]:
    """/healthz: the process answers. /readyz: it can do its work, else 503: the reason in the first line, then what
    each check found; the same as JSON for whoever accepts that. /metrics: Prometheus.

    By a header of the first two, the launcher recognises this process: see `certcore.instance`.
    """
    headers = instance_headers(os.environ.get(INSTANCE_VARIABLE, ""))

    @get
    async def healthz(_: object) -> AsgiResponse:
        return AsgiResponse(b"ok", status_code=200, headers=headers)

    @get
    async def readyz(scope: Scope) -> AsgiResponse:
        report = await readiness.report()
        if any(name == b"accept" and b"application/json" in value for name, value in scope["headers"]):
            body, kind = report.model_dump_json(), "application/json"
        else:
            body, kind = report.text(), "text/plain; charset=utf-8"
        status = 503 if report.reason else 200
        return AsgiResponse(body.encode(), status_code=status, headers={**headers, "content-type": kind})

    return [("/healthz", healthz), ("/readyz", readyz), ("/metrics", _Metrics(metrics))]


class _Server(uvicorn.Server):
    """Tells the application at the signal, not when the last connection has ended: some never end by themselves.

    It ends when the application's start broke off, also behind its back, and when it gave up: a service that answers
    its health check but consumes nothing would deceive everybody.
    """

    def __init__(
        self, config: uvicorn.Config, leave: Callable[[], None] | None, gave_up: Callable[[], str | None]
    ) -> None:
        super().__init__(config)
        self._leave = leave
        self._gave_up = gave_up
        self.broke_off = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        # What is there now stays: to look through all of it for garbage stops everything for a twentieth of a second.
        gc.collect()
        gc.freeze()
        gc.set_threshold(_YOUNG, *gc.get_threshold()[1:])

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._leave is not None:
            self._leave()
        super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        self.broke_off = isinstance(self.lifespan, LifespanOn) and self.lifespan.error_occurred
        if not self.broke_off and (reason := self._gave_up()) is not None:
            self.broke_off = True
            log.error("service_gave_up", reason=reason)
            if self._leave is not None:
                self._leave()
            # What can't be started again may not be able to stop, either.
            last = threading.Timer(_LAST_WORK_S, os._exit, (_BROKE_OFF,))
            last.daemon = True
            last.start()
        return self.broke_off or await super().on_tick(counter)


def run(
    app: ASGIApp,
    http: HttpSettings,
    *,
    gave_up: Callable[[], str | None],
    leave: Callable[[], None] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, then drain: what was begun is finished, nothing new is taken.

    `leave` is called in the signal handler, so that long answers (event streams) can end. `gave_up` is asked ten
    times a second, and a reason ends the service. The process is left with exit code 3 where the service could not
    start, or gave up, for whoever supervises it to try again.
    """
    tls = http.tls_context()
    config = uvicorn.Config(
        app,
        host=http.host,
        port=http.port,
        # Where httptools is installed uvicorn would take it, and that one reads headers without end.
        http="h11",
        ssl_context_factory=(lambda *_: tls) if tls is not None else None,
        log_config=None,
        log_level=logging.WARNING,
        access_log=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=5,
        lifespan="on",
    )
    server = _Server(config, leave, gave_up)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(server.serve())
    if server.broke_off or not server.started:
        sys.exit(_BROKE_OFF)

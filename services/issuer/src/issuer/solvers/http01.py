"""The http-01 responder (RFC 8555 §8.3): answers from memory, and from the journal what another process showed."""

import asyncio
import contextlib
import logging
import re
import socket
from collections.abc import Generator, Sequence
from typing import Annotated, Final, Literal, Self

import uvicorn
from faststream.asgi.types import Receive, Scope, Send
from pydantic import Field

from issuer.domain.ca_order import ChallengeKind
from issuer.domain.challenge import SEEN, ChallengeRecord, Propagation
from issuer.domain.errors import SolverError
from issuer.domain.solver import RecordsAt, RunningSolver, SolverContext, SolverDriver, SolverSettings

__all__ = ["DRIVER", "Http01Responder", "Http01Settings"]

_PATH: Final = re.compile(r"^/\.well-known/acme-challenge/(?P<token>[A-Za-z0-9_-]{16,256})$")


class Http01Settings(SolverSettings):
    """Where the responder listens; the names' port 80 has to lead there."""

    kind: Literal["http01"] = "http01"
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 5002


class _Server(uvicorn.Server):
    """Signals belong to the service's own server."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


class Http01Responder:
    """A solver and the ASGI app that shows its records."""

    def __init__(self, *, host: str, port: int, records_at: RecordsAt) -> None:
        self._host = host
        self._port = port
        self._records_at = records_at
        self._values: dict[str, str] = {}
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None

    async def present(self, records: Sequence[ChallengeRecord]) -> None:
        if self._serving is None or self._serving.done():
            raise SolverError("the http-01 responder is not running")
        self._values |= {record.record_name: record.record_value for record in records}

    async def propagated(self, records: Sequence[ChallengeRecord]) -> Propagation:  # noqa: ARG002 # shown at once
        return SEEN

    async def clean_up(self, records: Sequence[ChallengeRecord]) -> None:
        for record in records:
            self._values.pop(record.record_name, None)

    async def __aenter__(self) -> Self:
        """Listen from now on.

        Raises:
            OSError: the address can't be listened on.
        """
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        listener = socket.create_server((self._host, self._port), family=family, backlog=128)
        config = uvicorn.Config(
            self,
            lifespan="off",
            http="h11",
            ws="none",
            log_config=None,
            log_level=logging.WARNING,
            access_log=False,
            server_header=False,
        )
        self._server = _Server(config)
        self._serving = asyncio.create_task(self._server.serve(sockets=[listener]))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None and self._serving is not None:
            self._server.should_exit = True
            await self._serving

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 # ASGI
        value = await self._value(scope["path"]) if scope["type"] == "http" else None
        status, body = (404, b"") if value is None else (200, value.encode())
        headers = [(b"content-type", b"application/octet-stream"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _value(self, path: str) -> str | None:
        found = _PATH.match(path)
        if found is None:
            return None
        token = found["token"]
        if token in self._values:
            return self._values[token]
        stored = await self._records_at(ChallengeKind.HTTP_01, token)
        return stored[0].record_value if stored else None


class Http01Driver:
    kind = "http01"
    settings = Http01Settings

    def proves(self, settings: Http01Settings) -> ChallengeKind:  # noqa: ARG002 # the protocol's
        return ChallengeKind.HTTP_01

    def build(self, settings: Http01Settings, context: SolverContext) -> RunningSolver:
        return Http01Responder(host=settings.host, port=settings.port, records_at=context.records_at)


DRIVER: SolverDriver[Http01Settings] = Http01Driver()

"""The http-01 responder (RFC 8555 §8.3): answers from memory, and from the journal what another process showed."""

import asyncio
import contextlib
import logging
import re
import socket
from collections.abc import Awaitable, Callable, Generator, Sequence
from typing import Final, Self

import uvicorn
from faststream.asgi.types import Receive, Scope, Send

from issuer.domain.challenge import SEEN, ChallengeRecord, Propagation
from issuer.domain.errors import SolverError

__all__ = ["Http01Responder"]

_PATH: Final = re.compile(r"^/\.well-known/acme-challenge/(?P<token>[A-Za-z0-9_-]{16,256})$")

FindValue = Callable[[str], Awaitable[str | None]]
"""The key authorization stored for a token, if any."""


class _Server(uvicorn.Server):
    """Signals belong to the service's own server."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


class Http01Responder:
    """A ChallengeSolver and the ASGI app that shows its records; use it as an async context manager."""

    def __init__(self, *, host: str, port: int, find: FindValue) -> None:
        self._host = host
        self._port = port
        self._find = find
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
        return self._values.get(found["token"]) or await self._find(found["token"])

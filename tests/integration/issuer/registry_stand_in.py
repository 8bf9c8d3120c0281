"""A registry as the issuer sees it: real HTTP, and as stubborn about bundles as the registry is."""

import asyncio
import contextlib
import logging
import re
import socket
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import uvicorn
from pydantic import ValidationError

from certcore.bundles import IssuedBundle

__all__ = ["TOKEN", "RegistryStandIn", "registry_stand_in"]

TOKEN: Final = "the-issuers-token"
_PATH: Final = re.compile(r"^/v1/bundles/(?P<certificate>[^/]+)/(?P<revision>\d+)$")


@dataclass
class RegistryStandIn:
    """`bundles` by (certificate, revision); a second, different bundle is refused and counted as `conflicts`.

    `away` makes it answer 503, `refusing` 409.
    """

    port: int
    bundles: dict[tuple[str, int], IssuedBundle] = field(default_factory=dict)
    conflicts: list[tuple[str, int]] = field(default_factory=list)
    away: bool = False
    refusing: bool = False
    calls: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        status = self._answer(scope, body)
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    def _answer(self, scope: Any, body: bytes) -> int:
        self.calls += 1
        if self.away:
            return 503
        if dict(scope["headers"]).get(b"authorization") != f"Bearer {TOKEN}".encode():
            return 401
        found = _PATH.match(scope["path"])
        if found is None or scope["method"] != "PUT":
            return 404
        try:
            bundle = IssuedBundle.model_validate_json(body)
        except ValidationError:
            return 422
        about = found["certificate"], int(found["revision"])
        if self.refusing or self.bundles.setdefault(about, bundle) != bundle:
            self.conflicts.append(about)
            return 409
        return 204


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


@asynccontextmanager
async def registry_stand_in() -> AsyncIterator[RegistryStandIn]:
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    registry = RegistryStandIn(listener.getsockname()[1])
    config = uvicorn.Config(
        registry, lifespan="off", http="h11", ws="none", log_config=None, log_level=logging.WARNING
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield registry
    finally:
        server.should_exit = True
        await serving

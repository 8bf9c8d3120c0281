"""The http-01 responder (RFC 8555 §8.3): answers from memory, and from the journal what another process showed."""

import re
import socket
from collections.abc import Sequence
from typing import Annotated, Final, Literal, Self

from aiohttp import web
from pydantic import Field

from issuer.domain.ca_order import ChallengeKind
from issuer.domain.challenge import SEEN, ChallengeRecord, Propagation
from issuer.domain.errors import SolverError
from issuer.domain.solver import RecordsAt, RunningSolver, SolverContext, SolverDriver, SolverSettings

__all__ = ["DRIVER", "Http01Responder", "Http01Settings"]

_PATH: Final = re.compile(r"^/\.well-known/acme-challenge/(?P<token>[A-Za-z0-9_-]{16,256})$")
_HEADERS: Final = {"Content-Type": "application/octet-stream", "Server": "certbus"}
_END_S: Final = 5.0


class Http01Settings(SolverSettings):
    """Where the responder listens; the names' port 80 has to lead there."""

    kind: Literal["http01"] = "http01"
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 5002


class Http01Responder:
    """A solver, and the web server that shows its records."""

    def __init__(self, *, host: str, port: int, records_at: RecordsAt) -> None:
        self._host = host
        self._port = port
        self._records_at = records_at
        self._values: dict[str, str] = {}
        self._runner: web.ServerRunner | None = None

    async def present(self, records: Sequence[ChallengeRecord]) -> None:
        if self._runner is None:
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
        # Without the router and the middlewares of an application: it has one answer.
        self._runner = web.ServerRunner(web.Server(self._answer, access_log=None), shutdown_timeout=_END_S)
        await self._runner.setup()
        await web.SockSite(self._runner, listener).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            runner, self._runner = self._runner, None
            await runner.cleanup()

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        value = await self._value(request.path)
        if value is None:
            return web.Response(status=404, headers=_HEADERS)
        return web.Response(body=value.encode(), headers=_HEADERS)

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

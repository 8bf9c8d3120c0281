"""The registry's API as the other services see it: bundles, deployment orders, expectations."""

import json
import ssl
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Generic, Self, TypeVar

import httpx
import structlog
from pydantic import BaseModel, ValidationError

from certcore.api import Page
from certcore.bundles import IssuedBundle, SealedBundle
from certcore.errors import PermanentError, TransientError
from certcore.events import CsrWanted, DeploymentOrdered, EndpointsExpected, Event
from certcore.placements import PLATFORM
from certkit.settings import RegistrySettings
from certkit.telemetry import trace_headers

__all__ = ["Listed", "RegistryClient"]

log = structlog.get_logger()

EventT = TypeVar("EventT", bound=Event)

_PAGE: Final = 500
# Connections outlive the pauses between rounds, and end before the registry would end them (`certkit.service`).
_LIMITS: Final = httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=90.0)


@dataclass(frozen=True)
class Listed(Generic[EventT]):
    """All items of a list that can be read. Where it is not `complete`, what is missing may be there all the same."""

    items: list[EventT]
    complete: bool


class RegistryClient:
    """One connection pool; use it as an async context manager. Tokens never appear in its errors.

    Over TLS the certificate proves the registry before the token is sent. New connections use the newest files.
    """

    def __init__(self, settings: RegistrySettings, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        token = settings.token_file.read_text().strip()
        self._client = httpx.AsyncClient(
            base_url=settings.url,
            headers={"authorization": f"Bearer {token}"},
            timeout=10.0,
            limits=_LIMITS,
            trust_env=False,
            # Without TLS the empty one is never used: the system's roots would cost every start.
            verify=settings.tls_context() or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            transport=transport,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def fetch_bundle(self, certificate_id: str, revision: int, variant: str = PLATFORM) -> SealedBundle:
        """The bundle sealed to the caller; unknown and forbidden are the same 404.

        Raises:
            TransientError: the registry can't be reached or failed.
            PermanentError: there is no such bundle for this caller, or it can't be read.
        """
        body = await self._call("GET", f"/v1/bundles/{certificate_id}/{revision}", query={"variant": variant})
        return _read(SealedBundle, body)

    async def store_bundle(
        self, certificate_id: str, revision: int, bundle: IssuedBundle, variant: str = PLATFORM
    ) -> None:
        """Hand over an issued X.509 certificate; the same bundle twice is one.

        Raises:
            TransientError: the registry can't be reached or failed.
            PermanentError: the registry refuses it: other names than approved, or another one is stored.
        """
        path = f"/v1/bundles/{certificate_id}/{revision}"
        await self._call("PUT", path, query={"variant": variant}, body=bundle)

    async def deployments(self) -> list[DeploymentOrdered]:
        """Everything that the caller's place and service should hold, each placement in its newest generation.

        An item that can't be read is logged and left out.

        Raises:
            TransientError: the registry can't be reached or failed.
            PermanentError: the answer can't be read.
        """
        return (await self._all("/v1/deployments", DeploymentOrdered)).items

    async def wanted_csrs(self) -> list[CsrWanted]:
        """The signing requests that the caller's targets should offer.

        Raises:
            TransientError, PermanentError: as `deployments`.
        """
        return (await self._all("/v1/csrs", CsrWanted)).items

    async def expectations(self) -> Listed[EndpointsExpected]:
        """What every endpoint should serve.

        Raises:
            TransientError, PermanentError: as `deployments`.
        """
        return await self._all("/v1/expectations", EndpointsExpected)

    async def _all(self, path: str, model: type[EventT]) -> Listed[EventT]:
        found: list[EventT] = []
        complete = True
        query = {"limit": str(_PAGE)}
        while True:
            page = _page(model, await self._call("GET", path, query=query), path)
            found += page.items
            complete = complete and not page.unreadable
            if page.next is None:
                return Listed(found, complete=complete)
            query["after"] = page.next

    async def _call(
        self, method: str, path: str, *, query: dict[str, str] | None = None, body: BaseModel | None = None
    ) -> bytes:
        headers = {**trace_headers(), "content-type": "application/json"}
        content = body.model_dump_json() if body else None
        try:
            response = await self._client.request(method, path, params=query, headers=headers, content=content)
        except httpx.HTTPError as error:
            # What else HTTPX tells may quote a header.
            reason = f"ConnectError: {error}" if isinstance(error, httpx.ConnectError) else type(error).__name__
            raise TransientError(f"registry: {method} {path}: {reason}") from error
        if response.is_success:
            return response.content
        message = f"registry: {method} {path} answered {response.status_code}"
        if response.status_code >= 500 or response.status_code == 429:
            raise TransientError(message)
        raise PermanentError(message)


def _read(model: type[SealedBundle], body: bytes) -> SealedBundle:
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise PermanentError(f"{model.__name__} can't be read: {error.error_count()} errors") from None


def _page(model: type[EventT], body: bytes, path: str) -> Page[EventT]:
    pages: type[Page[EventT]] = Page[model]  # type: ignore[valid-type] # pydantic makes a class of it
    try:
        page = pages.model_validate(json.loads(body))
    except (ValueError, RecursionError) as error:
        problem = f"{error.error_count()} errors" if isinstance(error, ValidationError) else "it is no JSON"
        raise PermanentError(f"the registry's answer to {path} can't be read: {problem}") from None
    for item in page.unreadable:
        log.warning("item_unreadable", source=path, item=item.item, name=item.name, problem=item.problem)
    for event in page.items:
        for item in event.unreadable:
            log.warning("item_unreadable", source=path, item=item.item, name=item.name, problem=item.problem)
    return page

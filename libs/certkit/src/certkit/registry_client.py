"""The registry's API as the other services see it: bundles, deployment orders, expectations."""

import ssl
from types import TracebackType
from typing import Self

import httpx
from pydantic import BaseModel, TypeAdapter, ValidationError

from certcore.bundles import IssuedBundle, SealedBundle
from certcore.errors import PermanentError, TransientError
from certcore.events import DeploymentOrdered, EndpointsExpected
from certkit.settings import RegistrySettings
from certkit.telemetry import trace_headers

__all__ = ["RegistryClient"]

_ORDERS = TypeAdapter(list[DeploymentOrdered])
_EXPECTATIONS = TypeAdapter(list[EndpointsExpected])


class RegistryClient:
    """One connection pool; use it as an async context manager. Tokens never appear in its errors."""

    def __init__(self, settings: RegistrySettings) -> None:
        token = settings.token_file.read_text().strip()
        self._client = httpx.AsyncClient(
            base_url=settings.url,
            headers={"authorization": f"Bearer {token}"},
            timeout=10.0,
            trust_env=False,
            verify=ssl.create_default_context(cafile=settings.ca_file) if settings.ca_file else True,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def fetch_bundle(self, certificate_id: str, revision: int) -> SealedBundle:
        """The bundle sealed to the caller; unknown and forbidden are the same 404.

        Raises:
            TransientError: the registry can't be reached or failed.
            PermanentError: there is no such bundle for this caller, or it can't be read.
        """
        body = await self._call("GET", f"/v1/bundles/{certificate_id}/{revision}")
        return _read(SealedBundle, body)

    async def store_bundle(self, certificate_id: str, revision: int, bundle: IssuedBundle) -> None:
        """Hand over an issued revision; the same bundle twice is one.

        Raises:
            TransientError: the registry can't be reached or failed.
            PermanentError: the registry refuses it: other names than approved, or another one is stored.
        """
        await self._call("PUT", f"/v1/bundles/{certificate_id}/{revision}", bundle)

    async def deployments(self) -> list[DeploymentOrdered]:
        """Everything that the caller's site and service should hold, each at its newest revision.

        Raises:
            TransientError: the registry can't be reached or failed.
            PermanentError: the answer can't be read.
        """
        try:
            return _ORDERS.validate_json(await self._call("GET", "/v1/deployments"))
        except ValidationError as error:
            raise PermanentError(f"deployments can't be read: {error.error_count()} errors") from None

    async def expectations(self) -> list[EndpointsExpected]:
        """What every endpoint should serve.

        Raises:
            TransientError: the registry can't be reached or failed.
            PermanentError: the answer can't be read.
        """
        try:
            return _EXPECTATIONS.validate_json(await self._call("GET", "/v1/expectations"))
        except ValidationError as error:
            raise PermanentError(f"expectations can't be read: {error.error_count()} errors") from None

    async def _call(self, method: str, path: str, body: BaseModel | None = None) -> bytes:
        headers = {**trace_headers(), "content-type": "application/json"}
        try:
            response = await self._client.request(
                method, path, headers=headers, content=body.model_dump_json() if body else None
            )
        except httpx.HTTPError as error:
            raise TransientError(f"registry: {method} {path}: {type(error).__name__}") from error
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

"""The few calls that the syncer makes to an API server, by `kubernetes.aio`.

The generated `CoreV1Api` is left out: to import it costs 2 s and 130 MB for its models, and what it adds to
`ApiClient` here is the path of each call.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final, TypeVar

import aiohttp
import yaml
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config
from pydantic import BaseModel, ValidationError

from certcore.errors import PermanentError, TransientError
from syncer.domain.origin import MANAGED_BY, MANAGER
from syncer.domain.secret import TLS_TYPE
from syncer.targets.kubernetes.replies import (
    Metadata,
    MetadataPage,
    MetadataReply,
    PublicDataReply,
    PublicSecret,
    PublicSecretPage,
    Secret,
    Status,
)

__all__ = ["ApplyConflictError", "ClusterApi", "RefusedError", "ServerFailedError", "UnreachableError"]

ReplyT = TypeVar("ReplyT", bound=BaseModel)
PageT = TypeVar("PageT", MetadataPage, PublicSecretPage)

_IN_FLIGHT: Final = 8
"""More calls at once only add latency: an API server's 99th percentile is 31 ms at 8 and 207 ms at 64."""

_TIMEOUT: Final = aiohttp.ClientTimeout(total=15, connect=5)
_LIST_TIMEOUT: Final = aiohttp.ClientTimeout(total=60, connect=5)
_JSON: Final = "application/json"
_METADATA_ONLY: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
_METADATA_LIST: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_APPLY: Final = "application/apply-patch+yaml"
_MERGE: Final = "application/merge-patch+json"
_SECRET: Final = "/api/v1/namespaces/{namespace}/secrets/{name}"  # noqa: S105 # a path
_ALL_SECRETS: Final = "/api/v1/secrets"
_WEBHOOK: Final = re.compile(r'^admission webhook "[^"]{1,200}" denied the request')


class UnreachableError(TransientError):
    """The API server can't be reached, refuses the login, or answers 429."""


class ServerFailedError(TransientError):
    """The API server answered this call by an error of its own."""


class RefusedError(PermanentError):
    """The API server refused this call."""


class ApplyConflictError(TransientError):
    """The object isn't as it was when it was read, or others own fields of it: `managers` are those."""

    def __init__(self, message: str, *, managers: tuple[str, ...]) -> None:
        super().__init__(message)
        self.managers = managers


@dataclass(frozen=True)
class _Answer:
    """`retry_after` is the header: what stands between client and API server sends it without a Status."""

    status: int
    body: bytes = field(repr=False)
    retry_after: str


class ClusterApi:
    """One cluster's API server. Connects at the first call, and again after a refused login."""

    def __init__(
        self, *, name: str, kubeconfig: Path | None, context: str | None, user_agent: str, page_size: int = 500
    ) -> None:
        self.name = name
        self._kubeconfig = kubeconfig
        self._context = context
        self._user_agent = user_agent
        self._page_size = page_size
        self._client: ApiClient | None = None
        self._connecting = asyncio.Lock()
        self._slots = asyncio.Semaphore(_IN_FLIGHT)

    async def read_secret(self, namespace: str, name: str) -> Secret | None:
        """One Secret with its key; None where there is none, or no such namespace.

        Raises:
            UnreachableError, ServerFailedError, RefusedError: as their names say.
        """
        answer = await self._call("GET", _SECRET, {"namespace": namespace, "name": name})
        if answer.status == 404:
            return None
        return _read(Secret, self._checked(answer))

    async def apply_secret(
        self, namespace: str, name: str, manifest: Mapping[str, object], *, force: bool
    ) -> Metadata:
        """Server-side apply of the whole Secret under our field manager; returns its metadata afterwards.

        Raises:
            ApplyConflictError: others own its fields, or it changed since the version that the manifest names.
            UnreachableError, ServerFailedError, RefusedError: as their names say.
        """
        answer = await self._call(
            "PATCH",
            _SECRET,
            {"namespace": namespace, "name": name},
            query=[("fieldManager", MANAGER), ("force", "true" if force else "false")],
            manifest=manifest,
            accept=_METADATA_ONLY,
        )
        return _read(MetadataReply, self._checked(answer)).metadata

    async def delete_secret(self, namespace: str, name: str, *, uid: str, resource_version: str) -> None:
        """Delete the Secret as it was read, and no other; one that is gone is no error.

        Raises:
            ApplyConflictError: it isn't that one any more.
            UnreachableError, ServerFailedError, RefusedError: as their names say.
        """
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": uid, "resourceVersion": resource_version},
        }
        answer = await self._call(
            "DELETE", _SECRET, {"namespace": namespace, "name": name}, manifest=options, content_type=_JSON
        )
        if answer.status != 404:
            self._checked(answer)

    async def read_public_data(self, namespace: str, name: str) -> PublicDataReply | None:
        """A Secret whose data is public; None where there is none, or no such namespace.

        Raises:
            UnreachableError, ServerFailedError, RefusedError: as their names say.
        """
        answer = await self._call("GET", _SECRET, {"namespace": namespace, "name": name})
        return None if answer.status == 404 else _read(PublicDataReply, self._checked(answer))

    async def merge_secret(self, namespace: str, name: str, patch: Mapping[str, object]) -> None:
        """Change what the patch names (RFC 7396), and nothing else.

        Raises:
            ApplyConflictError: it isn't in the resource version any more that the patch names.
            UnreachableError, ServerFailedError, RefusedError: as their names say.
        """
        answer = await self._call(
            "PATCH",
            _SECRET,
            {"namespace": namespace, "name": name},
            query=[("fieldManager", MANAGER)],
            manifest=patch,
            content_type=_MERGE,
            accept=_METADATA_ONLY,
        )
        self._checked(answer)

    async def list_own_metadata(self) -> AsyncIterator[Metadata]:
        """Metadata of every Secret of the cluster that carries our mark; no data is sent.

        Raises:
            UnreachableError, ServerFailedError, RefusedError: as their names say.
        """
        query = ("labelSelector", f"{MANAGED_BY}={MANAGER}")
        async for page in self._pages(MetadataPage, query, accept=_METADATA_LIST):
            for item in page.items or ():
                yield item.metadata

    async def list_tls_secrets(self) -> AsyncIterator[tuple[PublicSecret, ...]]:
        """Every TLS Secret of the cluster without its key, page by page.

        Raises:
            UnreachableError, ServerFailedError, RefusedError: as their names say.
        """
        async for page in self._pages(PublicSecretPage, ("fieldSelector", f"type={TLS_TYPE}"), accept=_JSON):
            yield page.items or ()

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()  # type: ignore[no-untyped-call]

    async def _pages(self, model: type[PageT], selector: tuple[str, str], *, accept: str) -> AsyncIterator[PageT]:
        next_page: str = ""
        while True:
            query = [selector, ("limit", str(self._page_size)), *([("continue", next_page)] if next_page else [])]
            answer = await self._call("GET", _ALL_SECRETS, {}, query=query, accept=accept, limits=_LIST_TIMEOUT)
            page = await asyncio.to_thread(_read, model, self._checked(answer))
            yield page
            next_page = page.metadata.next_page
            if not next_page:
                return

    async def _call(
        self,
        method: str,
        path: str,
        path_values: Mapping[str, str],
        *,
        query: list[tuple[str, str]] | None = None,
        manifest: Mapping[str, object] | None = None,
        content_type: str = _APPLY,
        accept: str = _JSON,
        limits: aiohttp.ClientTimeout = _TIMEOUT,
    ) -> _Answer:
        headers = {"Accept": accept}
        if manifest is not None:
            headers["Content-Type"] = content_type
        async with self._slots:
            client = await self._connected()
            method, url, headers, _, _ = await client.param_serialize(
                method=method,
                resource_path=path,
                path_params=dict(path_values),
                query_params=query or [],
                header_params=headers,
                auth_settings=["BearerToken"],
            )
            try:
                # The manifest is plain JSON: it needs no walk through the generated models' serialiser.
                reply = await client.call_api(
                    method, url, headers, manifest, _request_timeout=limits, _preload_content=False
                )
                body: bytes = await reply.read()  # type: ignore[no-untyped-call]
            except (aiohttp.ClientError, OSError, TimeoutError, RuntimeError) as error:
                # aiohttp raises RuntimeError after the refused login of another call closed the session.
                raise UnreachableError(f"cluster {self.name}: {type(error).__name__}") from error
        if reply.status == 401:
            await self._forget(client)
        return _Answer(reply.status, body, reply.headers.get("Retry-After", ""))

    async def _connected(self) -> ApiClient:
        async with self._connecting:
            if self._client is None:
                self._client = await self._connect()
            return self._client

    async def _forget(self, client: ApiClient) -> None:
        # Credentials end and are replaced in the kubeconfig: the next call reads it again.
        if self._client is client:
            self._client = None
            await client.close()  # type: ignore[no-untyped-call]

    async def _connect(self) -> ApiClient:
        configuration = Configuration()
        configuration.connection_pool_maxsize = _IN_FLIGHT
        # A proxy comes from the kubeconfig, never from the environment.
        configuration.client_session_kwargs = {"trust_env": False}
        # Private CAs are seldom as strict as RFC 5280, and kubectl doesn't require it either.
        configuration.disable_strict_ssl_verification = True
        try:
            if self._kubeconfig is None:
                load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
            else:
                await load_kube_config(  # type: ignore[no-untyped-call]
                    config_file=str(self._kubeconfig),
                    context=self._context,
                    client_configuration=configuration,
                    persist_config=False,
                )
            client = ApiClient(configuration)
        except (ConfigException, OSError, yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError) as error:
            # With a malformed file the loader raises exceptions of many types.
            raise UnreachableError(
                f"cluster {self.name}: its kubeconfig can't be used: {type(error).__name__}"
            ) from error
        client.user_agent = self._user_agent
        return client

    def _checked(self, answer: _Answer) -> bytes:
        status = answer.status
        if status < 300:
            return answer.body
        refusal = _status(answer.body)
        message = f"cluster {self.name}: {_described(status, refusal)}"
        wait = timedelta(seconds=int(answer.retry_after)) if answer.retry_after.isdecimal() else None
        if status in {401, 429}:
            raise UnreachableError(message, retry_after=wait)
        if status >= 500:
            raise ServerFailedError(message, retry_after=wait)
        if status == 409:
            raise ApplyConflictError(message, managers=refusal.conflicting_managers())
        raise RefusedError(message)


def _status(body: bytes) -> Status:
    try:
        return Status.model_validate_json(body)
    except ValidationError:
        return Status()


def _described(status: int, refusal: Status) -> str:
    """A refusal for people. A webhook's message may quote the object, so only the webhook's name is kept."""
    webhook = _WEBHOOK.match(refusal.message)
    if webhook:
        return webhook.group()
    if status == 422:
        fields = ", ".join(cause.field for cause in refusal.details.causes if cause.field)
        return f"{refusal.reason or status}: {fields}"[:300]
    return f"{refusal.message or status}"[:300]


def _read(model: type[ReplyT], body: bytes) -> ReplyT:
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        # The error's own text quotes its input, which may be a key.
        raise RefusedError(f"{model.__name__} can't be read: {error.error_count()} errors") from None

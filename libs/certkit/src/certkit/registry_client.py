"""The registry's API as the other services see it: bundles, and the levels of what should be."""

import ssl
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from types import MappingProxyType, TracebackType
from typing import Final, Self, TypeVar
from urllib.parse import urlencode

import httpx
from pydantic import BaseModel

from certcore.api import IssuedAnswer, IssuedReport, IssueOrders, Page
from certcore.backoff import named_wait
from certcore.bundles import IssuedBundle, ResealedKeys, ResealWanted, SealedBundle, SealedKey, StoredBundle
from certcore.ca_limits.report import LimitsReport
from certcore.challenges import ChallengeOrder, ChallengeState
from certcore.errors import PermanentError, TransientError
from certcore.events import ChallengeWanted, CsrWanted, DeploymentOrdered, EndpointsExpected, Event, IssueOrder
from certcore.placements import PLATFORM
from certcore.reading import ReadModel
from certcore.review import SiteReviewUpdate
from certkit.kept_pages import KeptPage, KeptPages
from certkit.registry_answers import Listed, listed, read_answer, read_page, told
from certkit.settings import RegistrySettings
from certkit.telemetry import trace_headers
from certkit.token_file import TokenFile

__all__ = ["IssueLevel", "Listed", "RegistryClient", "ReviewAnswer"]

ItemT = TypeVar("ItemT", bound=ReadModel)
PageT = TypeVar("PageT", bound=Page)  # type: ignore[type-arg] # whatever its items are

_PAGE: Final = 200
_KEPT_BYTES: Final = 64 * 1024 * 1024
"""Pages of a hundred thousand certificates."""

_TIMEOUT: Final = httpx.Timeout(30.0, connect=5.0)
"""Longer than a busy registry takes for a page or for storing a bundle: who gives up asks for all of it again."""

# Connections outlive the pauses between rounds, and end before the registry would end them (`certkit.service`).
_LIMITS: Final = httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=90.0)
_READY: Final = httpx.Timeout(5.0)
_TOLD: Final = 300


class _NotFoundError(PermanentError):
    """What was asked for isn't there."""


@dataclass(frozen=True)
class IssueLevel(Listed[IssueOrder]):
    """What is ordered and not issued. `epoch` and `contract` are the registry's, see `certcore.api.IssueOrders`."""

    epoch: int
    contract: int


class ReviewAnswer(StrEnum):
    """`other_base`: the registry has another review than the update builds on. `not_known`: it is older than these
    updates, or the caller is not this site's syncer.
    """

    TAKEN = "taken"
    OTHER_BASE = "other_base"
    NOT_KNOWN = "not_known"


_REVIEW_ANSWERS: Final = {
    HTTPStatus.NO_CONTENT: ReviewAnswer.TAKEN,
    HTTPStatus.CONFLICT: ReviewAnswer.OTHER_BASE,
    HTTPStatus.NOT_FOUND: ReviewAnswer.NOT_KNOWN,
    HTTPStatus.METHOD_NOT_ALLOWED: ReviewAnswer.NOT_KNOWN,
}


class RegistryClient:
    """One connection pool; use it as an async context manager. Tokens never appear in its errors.

    Over TLS the certificate proves the registry before the token is sent. New connections use the newest files,
    each call the newest token.
    """

    def __init__(self, settings: RegistrySettings, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._token_file = TokenFile(settings.token_file)
        self._url = settings.url.rstrip("/")
        self._headers = {
            "accept": "application/json",
            "accept-encoding": "gzip, deflate",
            "content-type": "application/json",
            "user-agent": "certbus",
        }
        # HTTPX's client above it would look for cookies, redirects and logins: as much work again for each call.
        self._transport = transport or httpx.AsyncHTTPTransport(
            limits=_LIMITS,
            trust_env=False,
            # Without TLS the empty one is never used: the system's roots would cost every start.
            verify=settings.tls_context() or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
        )
        self._kept = KeptPages(most_bytes=_KEPT_BYTES)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._transport.aclose()

    async def fetch_bundle(self, certificate_id: str, revision: int, variant: str = PLATFORM) -> SealedBundle:
        """The bundle sealed to the caller; unknown and forbidden are the same 404.

        Raises:
            TransientError: the registry can't be reached or failed.
            PermanentError: there is no such bundle for this caller, or it can't be read.
        """
        path = f"/v1/bundles/{certificate_id}/{revision}"
        answer = await self._call("GET", path, query={"variant": variant})
        return read_answer(SealedBundle, answer.content)

    async def store_bundle(
        self, certificate_id: str, revision: int, bundle: IssuedBundle, variant: str = PLATFORM
    ) -> StoredBundle:
        """Hand over an issued X.509 certificate; the same bundle twice is one.

        Raises:
            TransientError: the registry can't be reached or failed.
            PermanentError: the registry refuses it: other names than approved, or another one is stored.
        """
        path = f"/v1/bundles/{certificate_id}/{revision}"
        answer = await self._call("PUT", path, query={"variant": variant}, body=bundle)
        return read_answer(StoredBundle, answer.content or b"{}")

    async def orders(self) -> IssueLevel:
        """Every revision that is ordered and not known as issued. If the epoch changes between two pages, it is the
        last one's, and the list isn't complete.

        Raises:
            TransientError, PermanentError: as `deployments`.
        """
        pages = await self._pages("/v1/orders", IssueOrders)
        found = listed(pages)
        epochs = {page.epoch for page in pages}
        last = pages[-1]
        complete = found.complete and len(epochs) == 1
        return IssueLevel(found.items, complete=complete, epoch=last.epoch, contract=last.contract)

    async def report_issued(self, report: IssuedReport) -> IssuedAnswer:
        """Tell a part of what the issuer has; the answer names what it is to hand over again.

        Raises:
            TransientError: the registry can't be reached or failed.
            PermanentError: the registry refuses it, or its answer can't be read.
        """
        answer = await self._call("POST", "/v1/issued", body=report)
        return read_answer(IssuedAnswer, answer.content)

    async def tell_limits(self, report: LimitsReport) -> bool:
        """Tell what is used of the CAs' limits; False where the registry is of a version that doesn't ask for it.

        Raises:
            TransientError: the registry can't be reached or failed.
            PermanentError: the registry refuses it.
        """
        answer = await self._call("PUT", "/v1/limits", body=report, expected={HTTPStatus.NOT_FOUND})
        return answer.is_success

    async def deployments(self) -> Listed[DeploymentOrdered]:
        """Everything that the caller's place and service should hold, each placement in its newest generation.

        An item that can't be read is logged and left out.

        Raises:
            TransientError: the registry can't be reached or failed.
            PermanentError: the answer can't be read.
        """
        return await self._all("/v1/deployments", DeploymentOrdered)

    async def wanted_csrs(self) -> list[CsrWanted]:
        """The signing requests that the caller's targets should offer. Raises as `deployments` does."""
        return (await self._all("/v1/csrs", CsrWanted)).items

    async def expectations(self) -> Listed[EndpointsExpected]:
        """What every endpoint should serve.

        Raises:
            TransientError, PermanentError: as `deployments`.
        """
        return await self._all("/v1/expectations", EndpointsExpected)

    async def reseals(self) -> Listed[ResealWanted]:
        """The keys that the escrow should seal again. Raises as `deployments` does."""
        return await self._all("/v1/reseals", ResealWanted)

    async def beat(self, heartbeat: Event) -> None:
        """Tell that a process lives which isn't on the bus. A registry of the version before doesn't hear it.

        Raises:
            TransientError, PermanentError: as `store_resealed`.
        """
        await self._call("POST", "/v1/heartbeats", body=heartbeat, expected={HTTPStatus.NOT_FOUND})

    async def store_resealed(self, wanted: ResealWanted, keys: Sequence[SealedKey]) -> None:
        """Hand over keys that were sealed again; the same twice is no error.

        Raises:
            TransientError: the registry can't be reached or failed.
            PermanentError: the registry refuses them: they are not wanted any more.
        """
        path = f"/v1/bundles/{wanted.certificate_id}/{wanted.revision}/keys"
        body = ResealedKeys(keys=tuple(keys))
        await self._call("PUT", path, query={"variant": wanted.variant}, body=body)

    async def challenges(self) -> Listed[ChallengeWanted]:
        """What the caller's site should show to CAs. A registry of the version before has no such list.

        Raises:
            TransientError, PermanentError: as `deployments`.
        """
        try:
            return await self._all("/v1/challenges", ChallengeWanted)
        except _NotFoundError:
            return Listed([], complete=False)

    async def show_challenge(self, site: str, token: str, order: ChallengeOrder) -> None:
        """Have a site answer a CA; the same order again is no error.

        Raises:
            TransientError: the registry can't be reached or failed, or the site shows too many.
            PermanentError: the registry refuses it, and says why.
        """
        await self._call("PUT", f"/v1/challenges/{site}/{token}", body=order)

    async def challenge(self, site: str, token: str) -> ChallengeState | None:
        """What a site said of an answer; None where it isn't wanted there.

        Raises:
            TransientError: the registry can't be reached or failed.
            PermanentError: its answer can't be read.
        """
        try:
            answer = await self._call("GET", f"/v1/challenges/{site}/{token}")
        except _NotFoundError:
            return None
        return read_answer(ChallengeState, answer.content)

    async def remove_challenge(self, site: str, token: str) -> None:
        """Have a site answer a CA no more; what isn't wanted there is no error.

        Raises:
            TransientError: the registry can't be reached or failed.
        """
        await self._call("DELETE", f"/v1/challenges/{site}/{token}", expected={HTTPStatus.NOT_FOUND})

    async def not_ready(self) -> str | None:
        """What the registry says against its readiness; None where it is ready.

        Raises:
            TransientError: it can't be reached, or doesn't answer in time.
        """
        try:
            response = await self._ask("GET", "/readyz", within=_READY)
        except httpx.HTTPError as error:
            raise TransientError(f"registry: GET /readyz: {type(error).__name__}") from error
        if response.is_success:
            return None
        return " ".join(response.text.split())[:_TOLD] or f"GET /readyz answered {response.status_code}"

    async def _all(self, path: str, model: type[ItemT]) -> Listed[ItemT]:
        pages: type[Page[ItemT]] = Page[model]  # type: ignore[valid-type] # pydantic makes a class of it
        return listed(await self._pages(path, pages))

    async def update_review(self, site: str, update: SiteReviewUpdate) -> ReviewAnswer:
        """Tell what changed of the review of the caller's site.

        Raises:
            TransientError: the registry can't be reached or failed.
            PermanentError: the registry refuses it.
        """
        path = f"/v1/sites/{site}/review"
        answer = await self._call("PUT", path, body=update, expected=_REVIEW_ANSWERS.keys())
        return _REVIEW_ANSWERS[HTTPStatus(answer.status_code)]

    async def _pages(self, path: str, model: type[PageT]) -> list[PageT]:
        found: list[PageT] = []
        urls: set[str] = set()
        after: str | None = None
        while True:
            url = f"{path}?{urlencode({'limit': _PAGE} | ({'after': after} if after else {}))}"
            if url in urls:
                raise PermanentError(f"the registry's answer to {path} has no end: it names a page twice")
            page = await self._page(path, url, model)
            found.append(page)
            urls.add(url)
            after = page.next
            if after is None:
                self._kept.keep_only(path, urls)
                return found

    async def _page(self, path: str, url: str, model: type[PageT]) -> PageT:
        kept = self._kept.get(url)
        headers = {"if-none-match": kept.etag} if kept else {}
        answer = await self._call("GET", url, headers=headers, expected={HTTPStatus.NOT_MODIFIED} if kept else ())
        if kept is not None and answer.status_code == HTTPStatus.NOT_MODIFIED:
            return read_page(model, kept.body, path)
        page = read_page(model, answer.content, path)
        if etag := answer.headers.get("etag"):
            self._kept.keep(url, KeptPage(etag, answer.content))
        return page

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, str] | None = None,
        body: BaseModel | None = None,
        headers: Mapping[str, str] = MappingProxyType({}),
        within: httpx.Timeout = _TIMEOUT,
    ) -> httpx.Response:
        request = httpx.Request(
            method,
            self._url + path,
            params=query,
            headers={
                **self._headers,
                "authorization": f"Bearer {self._token_file.token}",
                **trace_headers(),
                **headers,
            },
            content=body.model_dump_json() if body else None,
            extensions={"timeout": within.as_dict()},
        )
        response = await self._transport.handle_async_request(request)
        try:
            await response.aread()
        finally:
            await response.aclose()
        return response

    async def _call(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, str] | None = None,
        body: BaseModel | None = None,
        headers: Mapping[str, str] = MappingProxyType({}),
        expected: Collection[int] = (),
    ) -> httpx.Response:
        """The answer, if it is a success or of an expected status."""
        called = f"registry: {method} {path.partition('?')[0]}"
        try:
            response = await self._ask(method, path, query=query, body=body, headers=headers)
        except httpx.HTTPError as error:
            # What else HTTPX tells may quote a header.
            reason = f"ConnectError: {error}" if isinstance(error, httpx.ConnectError) else type(error).__name__
            raise TransientError(f"{called}: {reason}") from error
        if response.is_success or response.status_code in expected:
            return response
        message = f"{called} answered {response.status_code}{told(response)}"
        if response.status_code == HTTPStatus.NOT_FOUND:
            raise _NotFoundError(message)
        if response.status_code >= 500 or response.status_code == HTTPStatus.TOO_MANY_REQUESTS:
            raise TransientError(message, retry_after=named_wait(response.headers.get("retry-after")))
        raise PermanentError(message)

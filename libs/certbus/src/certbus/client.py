"""The registry's API, typed: every answer is one of certcore.api's models, every failure a CommandError."""

import time
import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from types import TracebackType
from typing import Final, Literal, Self, TypeVar
from urllib.parse import urlencode

import httpx
from pydantic import BaseModel, ValidationError

from certbus.connection import Connection
from certbus.errors import CommandError
from certbus.event_stream import EventStreamError, Message, StreamDecoder
from certbus.exit_codes import ExitCode
from certbus.output import say
from certbus.patience import ask_patiently
from certbus.problems import refusal
from certbus.segments import segment
from certbus.set_aside import set_aside
from certbus.token_calls import TokenCalls
from certbus.trust import trust
from certcore.alerts import AlertView
from certcore.api import (
    CertificateSummary,
    CertificateView,
    Decision,
    Page,
    Paged,
    RenewalAnswer,
    RequestView,
    RestoreView,
    ServiceView,
    SiteView,
)
from certcore.audit import AuditEntry
from certcore.certificate import CertificateSpec
from certcore.certificate_list import CertificateQuery, parameters
from certcore.enrolment import SiteEnrolment
from certcore.instance import INSTANCE_HEADER
from certcore.policy.verdict import PolicyVerdict, PolicyView
from certcore.reading import ReadModel
from certcore.replay import Replay, ReplayOrder
from certcore.review import SiteReview
from certcore.tokens import SignInCode

__all__ = ["Registry"]

ModelT = TypeVar("ModelT", bound=ReadModel)
PageT = TypeVar("PageT", bound=Paged)

_TIMEOUT_S: Final = 10.0
_SILENCE_S: Final = 60.0
"""An event stream that was silent for so long is taken for dead and opened again."""
_PAGE: Final = 500
_READ_BY_ALL: Final = frozenset({"owner", "state", "health"})


class Registry(TokenCalls):
    """One connection pool; use it as a context manager. The token never appears in its errors.

    Lists are read page by page while they are iterated. `tell` gets a line, once, for what can't be read of them.

    Raises:
        CommandError: by every method, with the exit code that the registry's answer, or its silence, stands for.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        tell: Callable[[str], None] = say,
        transport: httpx.BaseTransport | None = None,
        new_key: Callable[[], str] = lambda: str(uuid.uuid4()),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._url = connection.url
        self._instance = connection.instance
        self._authorization = {"authorization": f"Bearer {connection.token}"} if connection.token else {}
        self._tell, self._new_key, self._sleep = tell, new_key, sleep
        self._told: set[str] = set()
        try:
            self._client = httpx.Client(
                base_url=connection.url,
                timeout=_TIMEOUT_S,
                trust_env=False,
                verify=trust(connection),
                transport=transport,
            )
        except httpx.InvalidURL as error:
            raise CommandError(
                f"{connection.url!r} is no URL of a registry ({error})", exit_code=ExitCode.INVALID
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._client.close()

    def create_request(self, body: CertificateSpec | bytes, *, dry_run: bool = False) -> RequestView:
        """Submit a request, as a model or as its JSON; a dry run is checked in full and stores nothing."""
        query = {"dry_run": "true"} if dry_run else {}
        return self._read(RequestView, self._change("/v1/requests", query=query, body=body))

    def requests(self, *, state: str | None = None) -> Iterator[RequestView]:
        return self._all(Page[RequestView], "/v1/requests", state=state)

    def request(self, request_id: str) -> RequestView:
        return self._read(RequestView, self._call("GET", f"/v1/requests/{segment(request_id)}"))

    def decide(self, request_id: str, verdict: Literal["approve", "deny"], decision: Decision) -> RequestView:
        path = f"/v1/requests/{segment(request_id)}/{verdict}"
        return self._read(RequestView, self._change(path, body=decision))

    def try_policy(self, body: bytes, *, owner: str | None = None) -> PolicyVerdict:
        """What policy says of a request; nothing is stored."""
        query = {"owner": owner} if owner else {}
        return self._read(PolicyVerdict, self._call("POST", "/v1/policy/test", query=query, body=body))

    def policy(self) -> PolicyView:
        return self._read(PolicyView, self._call("GET", "/v1/policy"))

    def certificates(self, query: CertificateQuery | None = None) -> Iterator[CertificateSummary]:
        """Those that a query finds, in its order; all of them by name without one."""
        given = parameters(query) if query is not None else []
        pages = self._pages(Page[CertificateSummary], "/v1/certificates", given, read_by_all=_READ_BY_ALL)
        return (item for page in pages for item in page.items)

    def certificate(self, name: str) -> CertificateView:
        return self._read(CertificateView, self._call("GET", f"/v1/certificates/{segment(name)}"))

    def renew(self, name: str, *, even_in_freeze: bool = False) -> RenewalAnswer:
        query = {"even_in_freeze": "true"} if even_in_freeze else {}
        return self._read(RenewalAnswer, self._change(f"/v1/certificates/{segment(name)}/renew", query=query))

    def reapprove(self, name: str) -> RequestView:
        return self._read(RequestView, self._change(f"/v1/certificates/{segment(name)}/approval"))

    def sites(self) -> Iterator[SiteView]:
        return self._all(Page[SiteView], "/v1/sites")

    def services(self) -> Iterator[ServiceView]:
        return self._all(Page[ServiceView], "/v1/services")

    def restore(self) -> RestoreView:
        return self._read(RestoreView, self._call("GET", "/v1/restore"))

    def alerts(self, *, state: str | None = None, owner: str | None = None) -> Iterator[AlertView]:
        return self._all(Page[AlertView], "/v1/alerts", state=state, owner=owner)

    def audit(
        self,
        *,
        actor: str | None = None,
        action: str | None = None,
        about: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        page: int = _PAGE,
    ) -> Iterator[AuditEntry]:
        return self._all(
            Page[AuditEntry],
            "/v1/audit",
            actor=actor,
            action=action,
            object=about,
            since=since.isoformat() if since is not None else None,
            until=until.isoformat() if until is not None else None,
            limit=str(page),
        )

    @contextmanager
    def audit_export(self) -> Iterator[Iterator[bytes]]:
        """The whole audit, line by line.

        Raises:
            CommandError: also while it is read.
        """
        call = "GET /v1/audit/export"
        self._recognise()
        timeout = httpx.Timeout(_TIMEOUT_S, read=_SILENCE_S)
        try:
            with self._client.stream(
                "GET", "/v1/audit/export", headers=self._authorization, timeout=timeout
            ) as response:
                if not response.is_success:
                    raise refusal(response.status_code, response.read(), call=call)
                yield _lines(response.iter_bytes())
        except httpx.HTTPError as error:
            raise self._unreachable(call, error) from None

    def review(self, site: str) -> SiteReview:
        """All pages of it as one."""
        path = f"/v1/sites/{segment(site)}/review"
        pages = list(self._pages(SiteReview, path))
        secrets = tuple(secret for page in pages for secret in page.secrets)
        return pages[-1].model_copy(update={"secrets": secrets})

    def replay(self, order: ReplayOrder, *, dry_run: bool) -> Replay:
        """Have stored events published again; a dry run only tells which."""
        query = {"dry_run": "true"} if dry_run else {}
        return self._read(Replay, self._call("POST", "/v1/events/replay", query=query, body=order))

    def enrol_site(self, site: str, enrolment: SiteEnrolment) -> None:
        # A registry of an earlier version refuses fields that it doesn't know.
        body = enrolment.model_dump_json(exclude_defaults=True).encode()
        self._call("PUT", f"/v1/sites/{segment(site)}", body=body)

    def sign_in_code(self) -> str:
        """A code that opens the page once."""
        return self._read(SignInCode, self._call("POST", "/v1/sign-in-codes")).code

    @contextmanager
    def events(self, *, since_now: bool, last_id: str = "") -> Iterator[Iterator[Message]]:
        """Open the event stream after `last_id`, else at its end or its start; it ends when the connection does.

        Raises:
            CommandError: also while it is read; with ExitCode.UNREACHABLE it may be opened again.
        """
        self._recognise()
        headers = (
            self._authorization | {"accept": "text/event-stream"} | ({"last-event-id": last_id} if last_id else {})
        )
        query = {"since": "now"} if since_now and not last_id else {}
        timeout = httpx.Timeout(_TIMEOUT_S, read=_SILENCE_S)
        try:
            with self._client.stream("GET", "/v1/events", headers=headers, params=query, timeout=timeout) as response:
                if not response.is_success:
                    raise refusal(response.status_code, response.read(), call="GET /v1/events")
                yield _messages(response)
        except (httpx.HTTPError, EventStreamError) as error:
            raise self._unreachable("GET /v1/events", error) from None

    def _all(self, page_model: type[Page[ModelT]], path: str, **given: str | None) -> Iterator[ModelT]:
        query = [(name, value) for name, value in given.items() if value is not None]
        return (item for page in self._pages(page_model, path, query) for item in page.items)

    def _pages(
        self,
        page_model: type[PageT],
        path: str,
        given: Sequence[tuple[str, str]] = (),
        *,
        read_by_all: Collection[str] | None = None,
    ) -> Iterator[PageT]:
        """`read_by_all` are the parameters that also a registry reads which ignores all others, and has no ETags."""
        limit = [] if "limit" in dict(given) else [("limit", str(_PAGE))]
        query, after = [*given, *limit], list[tuple[str, str]]()
        later = [name for name, _ in given if read_by_all is not None and name not in read_by_all]
        cursors: set[str] = set()
        while True:
            answer = self._response("GET", path, query=[*query, *after])
            if later and "etag" not in answer.headers:
                raise CommandError(
                    f"the registry is older than this command and doesn't read {', '.join(later)}: it shows all",
                    exit_code=ExitCode.INVALID,
                    next_step="leave that out, or update the registry",
                )
            page = self._read(page_model, answer.content)
            yield page
            if page.next is None:
                return
            if page.next in cursors:
                raise CommandError(
                    f"the registry's answer to GET {path} has no end: it names the same next page twice",
                    exit_code=ExitCode.UNREACHABLE,
                )
            cursors.add(page.next)
            after = [("after", page.next)]

    def _read(self, model: type[ModelT], body: bytes) -> ModelT:
        try:
            answer = model.model_validate_json(body)
        except ValidationError as error:
            raise _unreadable(error) from None
        for line in set_aside(answer):
            if line not in self._told:
                self._told.add(line)
                self._tell(line)
        return answer

    def _call(
        self, method: str, path: str, *, query: dict[str, str] | None = None, body: BaseModel | bytes | None = None
    ) -> bytes:
        return self._response(method, path, query=list((query or {}).items()), body=body).content

    def _change(
        self, path: str, *, query: dict[str, str] | None = None, body: BaseModel | bytes | None = None
    ) -> bytes:
        """A change that is done once, however often it has to be sent: the registry knows it by its key."""
        given = list((query or {}).items())
        return self._response("POST", path, query=given, body=body, key=self._new_key()).content

    def _response(
        self,
        method: str,
        path: str,
        *,
        query: list[tuple[str, str]],
        body: BaseModel | bytes | None = None,
        key: str | None = None,
    ) -> httpx.Response:
        self._recognise()
        headers = self._authorization | ({"content-type": "application/json"} if body is not None else {})
        if key is not None:
            headers["idempotency-key"] = key
        content = body.model_dump_json().encode() if isinstance(body, BaseModel) else body
        try:
            response = ask_patiently(
                lambda: self._client.request(method, path, params=urlencode(query), headers=headers, content=content),
                repeatable=key is not None or method != "POST",
                lost_too=key is not None,
                sleep=self._sleep,
            )
        except httpx.HTTPError as error:
            raise self._unreachable(f"{method} {path}", error) from None
        if not response.is_success:
            raise refusal(response.status_code, response.content, call=f"{method} {path}")
        return response

    def _recognise(self) -> None:
        """Before the token is shown to whoever listens there now."""
        if self._instance is None:
            return
        try:
            shown = self._client.get("/healthz").headers.get(INSTANCE_HEADER)
        except httpx.HTTPError as error:
            raise self._unreachable("GET /healthz", error) from None
        if shown != self._instance:
            raise CommandError(
                f"another program than the local system's registry answers at {self._url}",
                exit_code=ExitCode.UNREACHABLE,
                next_step="start it with `certbus run`",
            )

    def _unreachable(self, call: str, error: Exception) -> CommandError:
        lost = call.startswith("POST") and not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
        return CommandError(
            f"the registry at {self._url} can't be reached ({call}: {str(error) or type(error).__name__})",
            exit_code=ExitCode.UNREACHABLE,
            next_step="whether it took this is unknown: look before you repeat it"
            if lost
            else "is it running, and is the URL right? `certbus run` starts a local system",
        )


def _lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Only a line feed ends a line: the text in it may have other breaks."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line + b"\n" for line in whole)
    if rest:
        yield rest


def _messages(response: httpx.Response) -> Iterator[Message]:
    decoder = StreamDecoder()
    for chunk in response.iter_bytes():
        yield from decoder.feed(chunk)


def _unreadable(error: ValidationError) -> CommandError:
    return CommandError(
        f"the registry's answer can't be read ({error.title}: {error.error_count()} errors)",
        exit_code=ExitCode.UNREACHABLE,
        next_step="is that the URL of a certbus registry, and is this command as new as it?",
    )

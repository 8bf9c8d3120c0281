"""The part of the registry's API that the other services call, held in memory and served over HTTP.

tests/contracts/test_registry_standin.py holds it to the registry's own answers.
"""

import hashlib
import json
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

from pydantic import BaseModel, ValidationError

from certcore.api import BundleWanted, IssuedAnswer, IssuedReport, Problem
from certcore.bundles import IssuedBundle, SealedBundle, SealedKey, StoredBundle
from certcore.errors import InspectionError
from certcore.events import CONTRACT, CsrWanted, DeploymentOrdered, EndpointsExpected, IssueOrder
from certcore.inspection import read_chain
from certcore.intent import Target
from certcore.names import is_label
from certcore.placements import PLATFORM, Action, PlacementOrder
from certcore.review import SiteReviewUpdate
from certcore.sealing import RecipientKey, SealContext, seal
from certkit.settings import RegistrySettings
from tests.ports import free_port
from tests.standin_review import Review

__all__ = ["ISSUER_TOKEN", "RegistryStandin", "registry_standin", "sealed_key"]

ISSUER_TOKEN: Final = "the-token-of-the-issuer"
_TOKEN: Final = "a-token-for-tests"
_PAGE: Final = 2
"""Shorter than a list is likely to be, so that callers are seen to follow `next`."""
_HEADERS: Final[Mapping[int, Mapping[str, str]]] = {401: {"www-authenticate": "Bearer"}, 503: {"retry-after": "5"}}


BundleId = tuple[str, int, str]
"""A bundle's certificate, revision and variant."""

_LEVELS: Final = frozenset({"orders", "deployments", "expectations", "csrs"})


class _RefusedError(Exception):
    def __init__(self, status: HTTPStatus, problem: str) -> None:
        super().__init__(problem)
        self.status = status
        self.problem = problem


@dataclass(frozen=True)
class _ETag:
    headers: dict[str, str]
    is_known: bool


@dataclass
class RegistryStandin:
    """What it serves may be changed at any time; `calls` are the paths that were read, `down` refuses all.

    `unreadable`: its lists hold one item that nobody can read, and nothing else.
    `bundles` are served to every caller but the issuer, `issued` are those that the issuer handed over; of them the
    copy for `recipient` is served. The registry takes only what was ordered; the stand-in takes the first bundle of
    every variant, unless `refuses_bundles`. `differing` names each bundle that came a second time and was not the
    same in everything. As the registry does, the stand-in refuses it only for another leaf, and keeps the first.

    `issue_orders` is what the issuer is told to issue, with `epoch` and `contract`; a bundle that it hands over
    takes nothing away. `reported` are the issuer's reports of what it has: it is told to hand over again what isn't
    here. `takes_reports`: those that come with a bundle; else it is older, and they come on the bus.

    `unchanged` are the lists that were answered with 304, by path. `review` is that of the recipient's site; None
    where the stand-in is a registry of the version before, which knows no such route.
    """

    port: int
    bundles: dict[BundleId, SealedBundle] = field(default_factory=dict)
    issued: dict[BundleId, IssuedBundle] = field(default_factory=dict)
    orders: dict[str, DeploymentOrdered] = field(default_factory=dict)
    expectations: dict[str, EndpointsExpected] = field(default_factory=dict)
    csrs: dict[str, CsrWanted] = field(default_factory=dict)
    issue_orders: dict[BundleId, IssueOrder] = field(default_factory=dict)
    epoch: int = 0
    contract: int = CONTRACT
    reported: list[IssuedReport] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    review: Review | None = field(default_factory=Review)
    differing: list[BundleId] = field(default_factory=list)
    recipient: str = "site1-syncer"
    down: bool = False
    unreadable: bool = False
    refuses_bundles: bool = False
    takes_reports: bool = False
    _storing: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def fetched(self) -> list[tuple[str, int]]:
        """Certificate and revision of each bundle that was asked for."""
        paths = [call.split("?")[0].strip("/").split("/") for call in self.calls]
        return [(path[2], int(path[3])) for path in paths if path[1] == "bundles"]

    @property
    def token(self) -> str:
        return _TOKEN

    def settings(self, folder: Path) -> RegistrySettings:
        token = folder / "token"
        token.write_text(_TOKEN)
        return RegistrySettings(url=self.url, token_file=token, plain_text=True)

    def want(
        self,
        chain_pem: str,
        key_pem: str | None,
        *,
        certificate_id: str,
        name: str,
        revision: int,
        recipient: RecipientKey,
        targets: Sequence[Target],
        generation: int | None = None,
        variant: str = PLATFORM,
        traceparent: str | None = None,
    ) -> DeploymentOrdered:
        """Store a revision's bundle and list its order; the event is for the test to publish.

        The generation is the revision's number where none is given.
        """
        bundle = SealedBundle(
            certificate_id=certificate_id,
            revision=revision,
            variant=variant,
            chain_pem=chain_pem,
            key=sealed_key(key_pem, recipient, certificate_id, revision, variant) if key_pem else None,
        )
        leaf = read_chain(chain_pem.encode())[0]
        placements = tuple(
            PlacementOrder(
                target=target,
                generation=generation if generation is not None else revision,
                revision=revision,
                variant=variant,
                fingerprint_sha256=leaf.fingerprint_sha256,
                serial=leaf.serial,
                not_after=leaf.not_after,
                bundle_sha256=bundle.sha256(),
            )
            for target in targets
        )
        self.bundles[certificate_id, revision, variant] = bundle
        return self._listed(certificate_id, name, placements, traceparent)

    def withdraw(
        self, *, certificate_id: str, name: str, generation: int, targets: Sequence[Target]
    ) -> DeploymentOrdered:
        placements = tuple(
            PlacementOrder(target=target, generation=generation, action=Action.WITHDRAW) for target in targets
        )
        return self._listed(certificate_id, name, placements, None)

    def answer(self, path: str, token: str) -> str:
        """What a GET is answered."""
        self._admit(token)
        if path == "/readyz":
            return ""
        self.calls.append(path)
        parts, query = _parts(path)
        match parts:
            case ["v1", "bundles", certificate_id, revision]:
                return self._fetched(_bundle_id(certificate_id, revision, query), token).model_dump_json()
            case ["v1", "orders"]:
                models: Sequence[BaseModel] = list(self.issue_orders.values())
            case ["v1", "deployments"]:
                models = list(self.orders.values())
            case ["v1", "expectations"]:
                models = list(self.expectations.values())
            case ["v1", "csrs"]:
                models = list(self.csrs.values())
            case _:
                raise _RefusedError(HTTPStatus.NOT_FOUND, "not-found")
        if (token == ISSUER_TOKEN) is not (parts == ["v1", "orders"]):
            raise _RefusedError(HTTPStatus.FORBIDDEN, "forbidden")
        more = {"epoch": self.epoch, "contract": self.contract} if parts == ["v1", "orders"] else {}
        return json.dumps(({"items": [{}], "next": None} if self.unreadable else _page(models, query)) | more)

    def take(self, path: str, token: str, *, body: bytes) -> str:
        """Store the bundle or the review that a PUT hands over."""
        self._admit(token)
        parts, query = _parts(path)
        match parts:
            case ["v1", "bundles", certificate_id, revision] if token == ISSUER_TOKEN:
                bundle_id = _bundle_id(certificate_id, revision, query)
            case ["v1", "bundles", _, _]:
                raise _RefusedError(HTTPStatus.FORBIDDEN, "forbidden")
            case ["v1", "sites", site, "review"]:
                return self._reviewed(site, token, body)
            case _:
                raise _RefusedError(HTTPStatus.NOT_FOUND, "not-found")
        bundle, leaf = _read(body)
        with self._storing:
            if self.refuses_bundles:
                raise _RefusedError(HTTPStatus.CONFLICT, "conflict")
            present = self.issued.get(bundle_id) or self.bundles.get(bundle_id)
            if present is None:
                self.issued[bundle_id] = present = bundle
            if present != bundle:
                self.differing.append(bundle_id)
        if _leaf(present.chain_pem) != leaf:
            raise _RefusedError(HTTPStatus.CONFLICT, "conflict")
        return StoredBundle(reported=self.takes_reports and bundle.report is not None).model_dump_json()

    def _reviewed(self, site: str, token: str, body: bytes) -> str:
        if self.review is None:
            raise _RefusedError(HTTPStatus.METHOD_NOT_ALLOWED, "method-not-allowed")
        if token == ISSUER_TOKEN:
            raise _RefusedError(HTTPStatus.FORBIDDEN, "forbidden")
        try:
            update = SiteReviewUpdate.model_validate_json(body)
        except ValidationError:
            raise _RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-request") from None
        if f"{site}-syncer" != self.recipient:
            raise _RefusedError(HTTPStatus.NOT_FOUND, "not-found")
        if not self.review.update(update):
            raise _RefusedError(HTTPStatus.CONFLICT, "conflict")
        return ""

    def hear(self, path: str, token: str, *, body: bytes) -> str:
        """Note the report that a POST brings, and name what of it is not here."""
        self._admit(token)
        if _parts(path)[0] != ["v1", "issued"]:
            raise _RefusedError(HTTPStatus.NOT_FOUND, "not-found")
        if token != ISSUER_TOKEN:
            raise _RefusedError(HTTPStatus.FORBIDDEN, "forbidden")
        try:
            report = IssuedReport.model_validate_json(body)
        except ValidationError:
            raise _RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-request") from None
        self.reported.append(report)
        wanted = [
            BundleWanted(certificate_id=item.certificate_id, revision=item.revision, variant=item.variant)
            for item in report.revisions
            if not {(item.certificate_id, item.revision, item.variant)} & {*self.issued, *self.bundles}
        ]
        return IssuedAnswer(wanted=tuple(wanted)).model_dump_json()

    def etag(self, path: str, body: str, known: str | None) -> "_ETag":
        """That of a list, and whether the caller knows it; nothing else has one."""
        if _parts(path)[0][-1] not in _LEVELS:
            return _ETag({}, is_known=False)
        etag = f'"{hashlib.sha256(body.encode()).hexdigest()[:32]}"'
        is_known = etag in {each.strip().removeprefix("W/") for each in (known or "").split(",")}
        if is_known:
            self.unchanged.append(path)
        return _ETag({"etag": etag}, is_known=is_known)

    def _admit(self, token: str) -> None:
        if self.down:
            raise _RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable")
        if token not in {_TOKEN, ISSUER_TOKEN}:
            raise _RefusedError(HTTPStatus.UNAUTHORIZED, "unauthorized")

    def _fetched(self, bundle_id: BundleId, token: str) -> SealedBundle:
        missing = _RefusedError(HTTPStatus.NOT_FOUND, "not-found")
        if token == ISSUER_TOKEN:
            raise missing
        if bundle_id in self.bundles:
            return self.bundles[bundle_id]
        certificate_id, revision, variant = bundle_id
        issued = self.issued.get(bundle_id)
        key = next((key for key in issued.keys if key.recipient == self.recipient), None) if issued else None
        if issued is None or (key is None and variant == PLATFORM):
            raise missing
        return SealedBundle(
            certificate_id=certificate_id, revision=revision, variant=variant, chain_pem=issued.chain_pem, key=key
        )

    def _listed(
        self, certificate_id: str, name: str, placements: tuple[PlacementOrder, ...], traceparent: str | None
    ) -> DeploymentOrdered:
        order = DeploymentOrdered(
            certificate_id=certificate_id, name=name, placements=placements, traceparent=traceparent
        )
        self.orders[certificate_id] = order
        return order


def sealed_key(
    key_pem: str, recipient: RecipientKey, certificate_id: str, revision: int, variant: str = PLATFORM
) -> SealedKey:
    context = SealContext(recipient.name, certificate_id, revision, variant)
    sealed = seal(key_pem.encode(), public_key=recipient.public_key, context=context)
    return SealedKey.of(recipient.name, sealed, recipient.key_id)


def _parts(path: str) -> tuple[list[str], dict[str, str]]:
    url = urlsplit(path)
    return url.path.strip("/").split("/"), {name: values[0] for name, values in parse_qs(url.query).items()}


def _bundle_id(certificate_id: str, revision: str, query: Mapping[str, str]) -> BundleId:
    variant = query.get("variant", PLATFORM)
    if not (revision.isdecimal() and 1 <= int(revision) < 2**31 and is_label(variant)):
        raise _RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-request")
    return certificate_id, int(revision), variant


def _read(body: bytes) -> tuple[IssuedBundle, str]:
    """The bundle and its leaf's fingerprint."""
    try:
        bundle = IssuedBundle.model_validate_json(body)
        sealed = not any(b"PRIVATE KEY" in part for part in (body, *(key.raw() for key in bundle.keys)))
        leaf = _leaf(bundle.chain_pem)
    except ValidationError:
        raise _RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-request") from None
    except InspectionError:
        raise _RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-certificate") from None
    if not sealed:
        raise _RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-certificate")
    return bundle, leaf


def _leaf(chain_pem: str) -> str:
    return read_chain(chain_pem.encode())[0].fingerprint_sha256


def _page(models: Sequence[BaseModel], query: dict[str, str]) -> dict[str, object]:
    start = int(query.get("after", "0"))
    end = start + min(_PAGE, int(query.get("limit", _PAGE)))
    items = [model.model_dump(mode="json") for model in models[start:end]]
    return {"items": items, "next": str(end) if end < len(models) else None}


def _refusal(refused: _RefusedError) -> tuple[str, Mapping[str, str]]:
    title = refused.status.phrase
    problem = Problem(type=f"/problems/{refused.problem}", title=title, status=refused.status, detail=title)
    headers = {"content-type": "application/problem+json", **_HEADERS.get(refused.status, {})}
    return problem.model_dump_json(), headers


@asynccontextmanager
async def registry_standin() -> AsyncIterator[RegistryStandin]:
    standin = RegistryStandin(port=free_port())

    class Call(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._reply(HTTPStatus.OK, standin.answer)

        def do_PUT(self) -> None:
            # Read before anything is refused: the caller is still sending it.
            self._reply(HTTPStatus.OK, partial(standin.take, body=self._body()))

        def do_POST(self) -> None:
            self._reply(HTTPStatus.OK, partial(standin.hear, body=self._body()))

        def _body(self) -> bytes:
            return self.rfile.read(int(self.headers.get("content-length", "0")))

        def _reply(self, status: HTTPStatus, answer: Callable[[str, str], str]) -> None:
            scheme, _, token = self.headers.get("authorization", "").partition(" ")
            try:
                body = answer(self.path, token if scheme == "Bearer" else "")
            except _RefusedError as refused:
                self._send(refused.status, *_refusal(refused))
                return
            headers = {"content-type": "application/json"} if body else {}
            etag = standin.etag(self.path, body, self.headers.get("if-none-match"))
            if etag.is_known:
                self._send(HTTPStatus.NOT_MODIFIED, "", etag.headers)
            else:
                self._send(status if body else HTTPStatus.NO_CONTENT, body, headers | etag.headers)

        def _send(self, status: int, body: str, headers: Mapping[str, str]) -> None:
            self.send_response(status)
            for header in headers.items():
                self.send_header(*header)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 # http.server's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", standin.port), Call)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield standin
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

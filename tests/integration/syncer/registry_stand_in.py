"""The registry's two calls that a syncer makes, with their state: wanted orders, and bundles sealed to the syncer."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

from pydantic import TypeAdapter

from certcore.bundles import SealedBundle
from certcore.events import DeploymentOrdered
from certcore.sealing import RecipientKey
from certcore.targets import TargetSpec
from tests.unit.syncer.issuing import CERTIFICATE_ID, NAME, Issued, order_for

TOKEN = "the-syncers-token"

_ORDERS = TypeAdapter(list[DeploymentOrdered])


class RegistryStandIn:
    def __init__(self, key: RecipientKey, url: str) -> None:
        self.url = url
        self.key = key
        self.away = False
        self.orders: dict[str, DeploymentOrdered] = {}
        self.bundles: dict[tuple[str, int], SealedBundle] = {}
        self.fetched: list[tuple[str, int]] = []

    def want(
        self,
        issued: Issued,
        revision: int,
        targets: Sequence[TargetSpec],
        *,
        certificate_id: str = CERTIFICATE_ID,
        name: str = NAME,
        traceparent: str | None = None,
    ) -> DeploymentOrdered:
        """Store the bundle, and want the revision from now on."""
        sealed = issued.sealed(revision, self.key, certificate_id=certificate_id)
        self.bundles[certificate_id, revision] = sealed
        order = order_for(
            issued,
            revision,
            targets,
            bundle_sha256=sealed.sha256(),
            certificate_id=certificate_id,
            name=name,
            traceparent=traceparent,
        )
        self.orders[certificate_id] = order
        return order

    def answer(self, path: str, token: str | None) -> tuple[HTTPStatus, bytes]:
        if self.away:
            return HTTPStatus.SERVICE_UNAVAILABLE, b"{}"
        if token != f"Bearer {TOKEN}":
            return HTTPStatus.UNAUTHORIZED, b"{}"
        match path.strip("/").split("/"):
            case ["v1", "deployments"]:
                return HTTPStatus.OK, _ORDERS.dump_json(list(self.orders.values()))
            case ["v1", "bundles", certificate_id, revision] if bundle := self.bundles.get(
                (certificate_id, int(revision))
            ):
                self.fetched.append((certificate_id, int(revision)))
                return HTTPStatus.OK, bundle.model_dump_json().encode()
        return HTTPStatus.NOT_FOUND, b"{}"


@contextmanager
def registry_stand_in(key: RecipientKey) -> Iterator[RegistryStandIn]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        registry: ClassVar[RegistryStandIn]

        def do_GET(self) -> None:
            status, body = self.registry.answer(self.path, self.headers.get("authorization"))
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        registry = Handler.registry = RegistryStandIn(key, f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield registry
        finally:
            server.shutdown()
            thread.join()

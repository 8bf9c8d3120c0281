"""The part of the registry's API that the other services call, held in memory and served over HTTP."""

import json
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from certcore.bundles import SealedBundle, SealedKey
from certcore.events import DeploymentOrdered, EndpointsExpected
from certcore.sealing import RecipientKey, SealContext, seal
from certcore.targets import TargetSpec
from certkit.settings import RegistrySettings
from tests.authority import Issued
from tests.ports import free_port

__all__ = ["RegistryStandin", "registry_standin"]

_TOKEN = "a-token-for-tests"


@dataclass
class RegistryStandin:
    """What it serves may be changed at any time; `calls` are the paths that were asked for, `down` refuses all."""

    port: int
    bundles: dict[tuple[str, int], SealedBundle] = field(default_factory=dict)
    orders: dict[tuple[str, str], DeploymentOrdered] = field(default_factory=dict)
    expectations: dict[str, EndpointsExpected] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    down: bool = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def settings(self, folder: Path) -> RegistrySettings:
        token = folder / "token"
        token.write_text(_TOKEN)
        return RegistrySettings(url=self.url, token_file=token)

    def order(
        self,
        issued: Issued,
        *,
        certificate_id: str,
        name: str,
        revision: int,
        recipient: RecipientKey,
        targets: Sequence[TargetSpec],
        traceparent: str | None = None,
    ) -> DeploymentOrdered:
        """Store a revision's bundle and list its order; the event is for the test to publish."""
        context = SealContext(recipient.name, certificate_id, revision)
        sealed = seal(issued.key_pem.encode(), public_key=recipient.public_key, context=context)
        bundle = SealedBundle(
            certificate_id=certificate_id,
            revision=revision,
            chain_pem=issued.chain_pem,
            key=SealedKey.of(recipient.name, sealed),
        )
        order = DeploymentOrdered(
            certificate_id=certificate_id,
            name=name,
            revision=revision,
            serial=issued.serial,
            fingerprint_sha256=issued.fingerprint,
            not_after=issued.leaf.not_valid_after_utc,
            dns_names=issued.dns_names,
            bundle_sha256=bundle.sha256(),
            targets=tuple(targets),
            traceparent=traceparent,
        )
        self.bundles[certificate_id, revision] = bundle
        self.orders[certificate_id, name] = order
        return order

    def answer(self, path: str) -> str | None:
        self.calls.append(path)
        match path.strip("/").split("/"):
            case ["v1", "deployments"]:
                return _listed(list(self.orders.values()))
            case ["v1", "expectations"]:
                return _listed(list(self.expectations.values()))
            case ["v1", "bundles", certificate_id, revision]:
                bundle = self.bundles.get((certificate_id, int(revision)))
                return bundle.model_dump_json() if bundle else None
        return None


def _listed(models: Sequence[DeploymentOrdered] | Sequence[EndpointsExpected]) -> str:
    return json.dumps([model.model_dump(mode="json") for model in models])


@asynccontextmanager
async def registry_standin() -> AsyncIterator[RegistryStandin]:
    standin = RegistryStandin(port=free_port())

    class Call(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if standin.down:
                self.send_error(503)
            elif self.headers["authorization"] != f"Bearer {_TOKEN}":
                self.send_error(401)
            elif (body := standin.answer(self.path)) is None:
                self.send_error(404)
            else:
                self.send_response(200)
                self.send_header("content-type", "application/json")
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

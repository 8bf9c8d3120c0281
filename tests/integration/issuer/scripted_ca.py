"""A CA that answers what it is told to: for what a real one does only on a bad day."""

import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from tests.serials import serials

__all__ = ["Answer", "Asked", "ScriptedCa", "problem", "scripted_ca"]

_ISSUER: Final = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "scripted CA")])


@dataclass(frozen=True)
class Answer:
    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    make: Callable[[], bytes] | None = None
    hang: bool = False
    hang_up: bool = False


@dataclass(frozen=True)
class Asked:
    """`protected` and `payload` of the JWS, decoded; payload None is POST-as-GET."""

    path: str
    protected: dict[str, Any]
    payload: Any
    headers: dict[str, str] = field(default_factory=dict)


def problem(type_: str, status: int = 400, **extra: Any) -> Answer:
    headers = extra.pop("headers", {})
    body = {"type": f"urn:ietf:params:acme:error:{type_}", "detail": f"{type_} it is", "status": status, **extra}
    return Answer(status, body, headers={"Content-Type": "application/problem+json", **headers})


class ScriptedCa:
    """`script` has the answers by path, the last of each path for ever; `asked` what came."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.script: dict[str, list[Answer]] = {}
        self.asked: list[Asked] = []
        self.nonces = 0
        self.nonce_requests = 0
        self.nonce_answer = Answer()
        self.directory: dict[str, Any] = {
            name: f"{url}/{name}" for name in ("newNonce", "newAccount", "newOrder", "renewalInfo")
        }
        self.let_go = threading.Event()
        self._serials = serials("scripted CA")
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.tell("/newAccount", Answer(201, {"status": "valid"}, headers={"Location": f"{url}/account/1"}))

    def tell(self, path: str, *answers: Answer) -> None:
        self.script[path] = list(answers)

    def next_answer(self, path: str) -> Answer:
        answers = self.script.get(path, [Answer(404)])
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def paths(self) -> list[str]:
        return [asked.path for asked in self.asked]

    def certify(self) -> str:
        """A chain for the request that was finalized last."""
        csr = x509.load_der_x509_csr(_raw(self.asked_at("/finalize")[-1].payload["csr"]))
        names = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        now = datetime.now(UTC)
        leaf = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(_ISSUER)
            .public_key(csr.public_key())
            .serial_number(next(self._serials))
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=30))
            .add_extension(names, critical=True)
            .sign(self._key, SHA256())
        )
        return leaf.public_bytes(Encoding.PEM).decode()

    def asked_at(self, prefix: str) -> list[Asked]:
        return [asked for asked in self.asked if asked.path.startswith(prefix)]

    def order(self, status: str = "pending", **fields: Any) -> dict[str, Any]:
        return {"status": status, "finalize": f"{self.url}/finalize/1", "authorizations": [], **fields}


def _raw(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _decode(part: str) -> Any:
    raw = _raw(part)
    return json.loads(raw) if raw else None


@contextmanager
def scripted_ca() -> Iterator[ScriptedCa]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            ca.nonce_requests += 1
            self._send(ca.nonce_answer)

        def do_GET(self) -> None:
            self._send(ca.next_answer(self.path) if self.path in ca.script else Answer(body=ca.directory))

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            protected, payload = _decode(body["protected"]), _decode(body["payload"])
            ca.asked.append(Asked(self.path, protected, payload, dict(self.headers)))
            self._send(ca.next_answer(self.path))

        def _send(self, answer: Answer) -> None:
            if answer.hang:
                ca.let_go.wait(30)
                return
            if answer.hang_up:
                self.close_connection = True
                return
            content = answer.make() if answer.make else answer.raw
            if content is None:
                content = json.dumps(answer.body).encode()
            ca.nonces += 1
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Replay-Nonce", base64.urlsafe_b64encode(b"nonce%06d" % ca.nonces).rstrip(b"=").decode())
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    ca = ScriptedCa(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield ca
    finally:
        ca.let_go.set()
        server.shutdown()
        server.server_close()
        thread.join()

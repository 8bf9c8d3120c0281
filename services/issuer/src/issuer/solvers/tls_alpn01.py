"""The tls-alpn-01 responder (RFC 8737): shows a certificate of its own for the name, by the protocol acme-tls/1.

A name may have been shown by another process. So the ClientHello is read for its name before the handshake is made,
and a name that isn't in memory is looked up in the journal.
"""

import asyncio
import hashlib
import ssl
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID, ObjectIdentifier
from pydantic import Field

from certcore.clock import system_clock
from issuer.domain.ca_order import ChallengeKind
from issuer.domain.challenge import SEEN, ChallengeRecord, Propagation
from issuer.domain.errors import SolverError
from issuer.domain.solver import RecordsAt, RunningSolver, SolverContext, SolverDriver, SolverSettings

__all__ = ["DRIVER", "TlsAlpn01Responder", "TlsAlpn01Settings"]

_PROTOCOL: Final = "acme-tls/1"
_ACME_IDENTIFIER: Final = ObjectIdentifier("1.3.6.1.5.5.7.1.31")
_LONGEST_S: Final = 10.0
_AT_ONCE: Final = 64
_CHUNK: Final = 16 * 1024


class TlsAlpn01Settings(SolverSettings):
    """Where the responder listens; the names' port 443 has to lead there."""

    kind: Literal["tlsalpn01"] = "tlsalpn01"
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 5001


class TlsAlpn01Responder:
    def __init__(self, *, host: str, port: int, records_at: RecordsAt) -> None:
        self._host = host
        self._port = port
        self._records_at = records_at
        self._values: dict[str, str] = {}
        self._free = asyncio.Semaphore(_AT_ONCE)
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """Listen from now on.

        Raises:
            OSError: the address can't be listened on.
        """
        self._server = await asyncio.start_server(self._accept, self._host, self._port, backlog=128)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def present(self, records: Sequence[ChallengeRecord]) -> None:
        if self._server is None or not self._server.is_serving():
            raise SolverError("the tls-alpn-01 responder is not running")
        self._values |= {record.record_name: record.record_value for record in records}

    async def propagated(self, records: Sequence[ChallengeRecord]) -> Propagation:  # noqa: ARG002 # shown at once
        return SEEN

    async def clean_up(self, records: Sequence[ChallengeRecord]) -> None:
        for record in records:
            self._values.pop(record.record_name, None)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError, TimeoutError):
                async with self._free, asyncio.timeout(_LONGEST_S):
                    await self._shake_hands(reader, writer)
        finally:
            writer.close()

    async def _shake_hands(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hello = b""
        while (name := _server_name(hello)) is None:
            data = await reader.read(_CHUNK)
            if not data or len(hello) > _CHUNK:
                return
            hello += data
        value = self._values.get(name)
        if value is None:
            stored = await self._records_at(ChallengeKind.TLS_ALPN_01, name)
            value = stored[0].record_value if stored else None
        if value is None:
            return
        context = await asyncio.to_thread(_context, name, value)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        incoming.write(hello)
        connection = context.wrap_bio(incoming, outgoing, server_side=True)
        done = False
        while not done:
            try:
                connection.do_handshake()
            except ssl.SSLWantReadError:
                pass
            else:
                done = True
            writer.write(outgoing.read())
            await writer.drain()
            if not done:
                data = await reader.read(_CHUNK)
                if not data:
                    return
                incoming.write(data)
        # The CA has what it came for, and closes first.
        await reader.read(_CHUNK)


def _server_name(hello: bytes) -> str | None:
    """The name that a ClientHello asks for by acme-tls/1, empty where it asks for none; None where more of it is
    needed.
    """
    found: list[str] = []

    def note(_: ssl.SSLObject, name: str | None, __: ssl.SSLContext) -> int:
        found.append((name or "").lower())
        return ssl.ALERT_DESCRIPTION_CLOSE_NOTIFY

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sni_callback = note
    incoming = ssl.MemoryBIO()
    incoming.write(hello)
    try:
        context.wrap_bio(incoming, ssl.MemoryBIO(), server_side=True).do_handshake()
    except ssl.SSLWantReadError:
        return found[0] if found else None
    except ssl.SSLError:
        pass
    return found[0] if found else ""


def _context(name: str, value: str) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    now = system_clock()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "acme-tls/1")])
    digest = hashlib.sha256(value.encode()).digest()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        # An OCTET STRING in DER.
        .add_extension(x509.UnrecognizedExtension(_ACME_IDENTIFIER, b"\x04\x20" + digest), critical=True)
        .sign(key, SHA256())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols([_PROTOCOL])
    # The ssl module reads files only. The key proves nothing beyond this one challenge.
    with tempfile.TemporaryDirectory(prefix="certbus-") as folder:
        pem = Path(folder, "pair.pem")
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        pem.touch(mode=0o600)
        pem.write_bytes(private + certificate.public_bytes(Encoding.PEM))
        context.load_cert_chain(pem)
    return context


class TlsAlpn01Driver:
    kind = "tlsalpn01"
    settings = TlsAlpn01Settings

    def proves(self, settings: TlsAlpn01Settings) -> ChallengeKind:  # noqa: ARG002 # the protocol's
        return ChallengeKind.TLS_ALPN_01

    def build(self, settings: TlsAlpn01Settings, context: SolverContext) -> RunningSolver:
        return TlsAlpn01Responder(host=settings.host, port=settings.port, records_at=context.records_at)


DRIVER: SolverDriver[TlsAlpn01Settings] = TlsAlpn01Driver()

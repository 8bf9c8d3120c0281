"""One fresh TLS handshake: what an address serves for a name, trusted or not.

No session is ever resumed: a resumed one shows the certificate of the first visit.
"""

import asyncio
import hashlib
import os
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Final

from certcore.certificate import KeyAlgorithm
from certcore.errors import CertbusError, InspectionError, PermanentError
from certcore.inspection import X509Certificate, read_certificate

__all__ = [
    "Handshake",
    "HandshakeError",
    "HandshakeProblem",
    "Prober",
    "ServerKey",
    "TrustProblem",
    "TrustRootsError",
]

_MAX_BYTES: Final = 256 * 1024
"""More than this in one handshake is no honest server's; the largest chains seen have a tenth of it."""

_DER: Final = 2  # _ssl.ENCODING_DER


class HandshakeProblem(StrEnum):
    """Why no certificate was seen."""

    UNREACHABLE = "unreachable"
    TLS_FAILED = "tls_failed"


class TrustProblem(StrEnum):
    """The first thing that a careful client would object to, by OpenSSL's verify code."""

    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    WRONG_HOST = "wrong_host"
    SELF_SIGNED = "self_signed"
    CHAIN_INCOMPLETE = "chain_incomplete"
    UNTRUSTED = "untrusted"


_BY_VERIFY_CODE: Final = {
    9: TrustProblem.NOT_YET_VALID,
    10: TrustProblem.EXPIRED,
    18: TrustProblem.SELF_SIGNED,
    20: TrustProblem.CHAIN_INCOMPLETE,
    21: TrustProblem.CHAIN_INCOMPLETE,
    62: TrustProblem.WRONG_HOST,
    64: TrustProblem.WRONG_HOST,
}


class ServerKey(StrEnum):
    """By which kind of key a server proves who it is, in the words of OpenSSL's cipher lists."""

    RSA = "aRSA"
    ECDSA = "aECDSA"

    @classmethod
    def of(cls, certificate: X509Certificate) -> "ServerKey | None":
        """None for a kind that certbus doesn't issue."""
        match certificate.key_algorithm:
            case KeyAlgorithm.EC_P256 | KeyAlgorithm.EC_P384:
                return cls.ECDSA
            case KeyAlgorithm.RSA_2048 | KeyAlgorithm.RSA_3072:
                return cls.RSA
            case None:
                return None


class HandshakeError(CertbusError):
    def __init__(self, problem: HandshakeProblem, detail: str) -> None:
        super().__init__(f"{problem}: {detail}")
        self.problem = problem
        self.detail = detail


class TrustRootsError(PermanentError):
    """The file of trust roots is missing or holds none."""


@dataclass(frozen=True)
class Handshake:
    """`trust_problem` is None where chain, name and dates satisfied the prober's trust roots, or nobody asked.

    `presented` are the SHA-256 fingerprints of all certificates that were sent, the leaf's first. With a trust
    problem the handshake ended at the certificates: that the server holds the key was not shown.
    """

    address: str
    leaf: X509Certificate
    protocol: str
    trust_problem: TrustProblem | None
    presented: tuple[str, ...] = ()


class Prober:
    """Shakes hands against one set of trust roots; roots in a file are read again when the file changes."""

    def __init__(
        self,
        *,
        ca_file: Path | None = None,
        timeout_s: float = 5.0,
        verify: bool = True,
        only: ServerKey | None = None,
    ) -> None:
        """Without `ca_file` the system's roots count. Without `verify`, what is served is only looked at.

        With `only`, a server that has certificates of both kinds shows that one. It takes TLS 1.2: there the cipher
        names the kind, and this Python can't limit the signatures of TLS 1.3.
        """
        self._ca_file = ca_file
        self._timeout_s = timeout_s
        self._verify = verify
        self._loaded: tuple[int, ssl.SSLContext] | None = None
        self._only = only
        self._blind = _context(lambda _: None, only)

    async def shake(self, address: str, port: int, *, server_name: str) -> Handshake:
        """Connect to the address, send `server_name` as SNI, look at the certificates and hang up.

        Raises:
            HandshakeError: there is no certificate to look at.
            TrustRootsError: there are no roots to trust.
        """
        context = self._trusting() if self._verify else self._blind
        seen = await self._look(context, address, port, server_name)
        if seen.verify_code is not None and not seen.presented:
            # This Python doesn't tell what a refused server had sent: look again without judging.
            blind = await self._look(self._blind, address, port, server_name)
            seen = replace(blind, verify_code=seen.verify_code)
        if not seen.presented:
            raise HandshakeError(HandshakeProblem.TLS_FAILED, "no certificate was presented")
        try:
            leaf = read_certificate(seen.presented[0])
        except InspectionError as error:
            raise HandshakeError(HandshakeProblem.TLS_FAILED, str(error)) from error
        return Handshake(
            address=address,
            leaf=leaf,
            protocol=seen.protocol,
            trust_problem=_trust_problem(seen),
            presented=tuple(hashlib.sha256(der).hexdigest() for der in seen.presented),
        )

    async def _look(self, context: ssl.SSLContext, address: str, port: int, server_name: str) -> "_Seen":
        step = HandshakeProblem.UNREACHABLE
        try:
            async with asyncio.timeout(self._timeout_s):
                reader, writer = await asyncio.open_connection(address, port)
                step = HandshakeProblem.TLS_FAILED
                try:
                    seen = await _shake_hands(context, reader, writer, server_name)
                except BaseException:  # also when cancelled: an open connection must not stay behind
                    writer.transport.abort()
                    raise
                writer.close()
                return seen
        except TimeoutError as error:
            raise HandshakeError(step, f"no answer in {self._timeout_s:g} s") from error
        except OSError as error:
            raise HandshakeError(step, _reason(error)) from error
        except ValueError as error:
            raise HandshakeError(step, f"{address!r:.80} is no host") from error

    def _trusting(self) -> ssl.SSLContext:
        try:
            stamp = self._ca_file.stat().st_mtime_ns if self._ca_file else 0
            if self._loaded is None or self._loaded[0] != stamp:
                self._loaded = (stamp, _context(self._load_roots, self._only))
        except OSError as error:  # ssl.SSLError is one too: a file that is being written, or no PEM
            if self._loaded is None:
                raise TrustRootsError(f"trust roots {self._ca_file} can't be read: {_reason(error)}") from error
        return self._loaded[1]

    def _load_roots(self, context: ssl.SSLContext) -> None:
        context.check_hostname = True
        context.verify_mode = ssl.CERT_REQUIRED
        if self._ca_file is None:
            context.load_default_certs()
        else:
            context.load_verify_locations(self._ca_file)


@dataclass(frozen=True)
class _Seen:
    """`verify_code` is OpenSSL's, None where it had nothing to object to."""

    presented: tuple[bytes, ...]
    protocol: str
    verify_code: int | None


async def _shake_hands(
    context: ssl.SSLContext, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server_name: str
) -> _Seen:
    # Not asyncio's own TLS: it drops the SSLObject of a refused handshake, and with it what the server sent.
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        session = context.wrap_bio(incoming, outgoing, server_hostname=server_name)
    except (ValueError, TypeError) as error:  # too long, an empty label, a zero byte
        detail = f"{server_name!r:.80} can't be sent as a server name"
        raise HandshakeError(HandshakeProblem.TLS_FAILED, detail) from error
    received = 0
    code = None
    while True:
        try:
            session.do_handshake()
            break
        except ssl.SSLWantReadError:
            writer.write(outgoing.read())
            data = await reader.read(16 * 1024)
            received += len(data)
            if received > _MAX_BYTES:
                raise HandshakeError(HandshakeProblem.TLS_FAILED, f"more than {_MAX_BYTES} bytes") from None
            if data:
                incoming.write(data)
            else:
                incoming.write_eof()
        except ssl.SSLCertVerificationError as error:
            code = error.verify_code
            break
    seen = _Seen(_presented(session), session.version() or "", code)
    if code is None:
        # A polite farewell: servers log connections that break off as failed handshakes.
        with suppress(ssl.SSLError):
            session.unwrap()
    writer.write(outgoing.read())
    return seen


def _presented(session: ssl.SSLObject) -> tuple[bytes, ...]:
    """Every certificate that the server sent, as it was sent; empty where this Python can't tell."""
    chain_of = getattr(session, "get_unverified_chain", None)
    if chain_of is not None:
        return tuple(chain_of() or ())
    # The same call, public since Python 3.13.
    chain_of = getattr(getattr(session, "_sslobj", None), "get_unverified_chain", None)
    if chain_of is not None:
        return tuple(certificate.public_bytes(_DER) for certificate in chain_of() or ())
    leaf = session.getpeercert(binary_form=True)
    return (leaf,) if leaf else ()


def _trust_problem(seen: _Seen) -> TrustProblem | None:
    if seen.verify_code is None:
        return None
    problem = _BY_VERIFY_CODE.get(seen.verify_code, TrustProblem.UNTRUSTED)
    if problem is TrustProblem.CHAIN_INCOMPLETE and len(seen.presented) > 1:
        # The same code tells of a whole chain under a root that isn't trusted.
        return TrustProblem.UNTRUSTED
    return problem


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "handshake failed").replace("_", " ").lower()
    if isinstance(error, socket.gaierror):
        return error.strerror or "no such host"
    # asyncio's own texts quote the address; those of the system don't.
    return os.strerror(error.errno).lower() if error.errno else type(error).__name__


def _context(prepare: Callable[[ssl.SSLContext], None], only: ServerKey | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if only is not None:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(f"{only}+HIGH")
    prepare(context)
    return context

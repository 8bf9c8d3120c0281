"""One fresh TLS handshake: what an address serves for a name, trusted or not.

No session is ever resumed: a resumed one shows the certificate of the first visit.
"""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from certcore.errors import CertbusError, InspectionError
from certcore.inspection import Certificate, read_certificate

__all__ = ["Handshake", "HandshakeError", "HandshakeProblem", "Prober", "TrustProblem"]


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
    19: TrustProblem.UNTRUSTED,
    20: TrustProblem.CHAIN_INCOMPLETE,
    21: TrustProblem.CHAIN_INCOMPLETE,
    62: TrustProblem.WRONG_HOST,
    64: TrustProblem.WRONG_HOST,
}


class HandshakeError(CertbusError):
    def __init__(self, problem: HandshakeProblem, detail: str) -> None:
        super().__init__(f"{problem}: {detail}")
        self.problem = problem
        self.detail = detail


@dataclass(frozen=True)
class Handshake:
    """`trust_problem` is None where chain, name and dates satisfied the prober's trust roots."""

    address: str
    leaf: Certificate
    protocol: str
    trust_problem: TrustProblem | None


class Prober:
    """Shakes hands against one set of trust roots; roots in a file are read again when the file changes."""

    def __init__(self, *, ca_file: Path | None = None, timeout_s: float = 5.0) -> None:
        self._ca_file = ca_file
        self._timeout_s = timeout_s
        self._loaded: tuple[int, ssl.SSLContext] | None = None
        self._blind = _context(lambda _: None)

    async def shake(self, address: str, port: int, *, server_name: str) -> Handshake:
        """Connect to the address, send `server_name` as SNI, look at the leaf and hang up.

        Raises:
            HandshakeError: there is no certificate to look at.
        """
        try:
            leaf, protocol = await self._leaf(self._trusting(), address, port, server_name)
            return Handshake(address, leaf, protocol, None)
        except ssl.SSLCertVerificationError as error:
            problem = _BY_VERIFY_CODE.get(error.verify_code, TrustProblem.UNTRUSTED)
            problem = TrustProblem.WRONG_HOST if "Hostname mismatch" in str(error) else problem
        leaf, protocol = await self._leaf(self._blind, address, port, server_name)
        return Handshake(address, leaf, protocol, problem)

    async def _leaf(
        self, context: ssl.SSLContext, address: str, port: int, server_name: str
    ) -> tuple[Certificate, str]:
        try:
            async with asyncio.timeout(self._timeout_s):
                _, writer = await asyncio.open_connection(
                    address, port, ssl=context, server_hostname=server_name, ssl_shutdown_timeout=1.0
                )
        except ssl.SSLCertVerificationError:
            raise
        except ssl.SSLError as error:
            raise HandshakeError(HandshakeProblem.TLS_FAILED, error.reason or "handshake failed") from error
        except TimeoutError as error:
            raise HandshakeError(HandshakeProblem.UNREACHABLE, f"no handshake in {self._timeout_s:g} s") from error
        except ConnectionResetError as error:
            raise HandshakeError(HandshakeProblem.TLS_FAILED, "connection reset") from error
        except OSError as error:
            raise HandshakeError(HandshakeProblem.UNREACHABLE, error.strerror or type(error).__name__) from error
        try:
            session: ssl.SSLObject = writer.get_extra_info("ssl_object")
            der, protocol = session.getpeercert(binary_form=True), session.version() or ""
        finally:
            writer.transport.abort()
        if der is None:
            raise HandshakeError(HandshakeProblem.TLS_FAILED, "no certificate was presented")
        try:
            return read_certificate(der), protocol
        except InspectionError as error:
            raise HandshakeError(HandshakeProblem.TLS_FAILED, str(error)) from error

    def _trusting(self) -> ssl.SSLContext:
        stamp = self._ca_file.stat().st_mtime_ns if self._ca_file else 0
        if self._loaded is None or self._loaded[0] != stamp:
            self._loaded = (stamp, _context(self._load_roots))
        return self._loaded[1]

    def _load_roots(self, context: ssl.SSLContext) -> None:
        context.check_hostname = True
        context.verify_mode = ssl.CERT_REQUIRED
        if self._ca_file is None:
            context.load_default_certs()
        else:
            context.load_verify_locations(self._ca_file)


def _context(prepare: Callable[[ssl.SSLContext], None]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    prepare(context)
    return context

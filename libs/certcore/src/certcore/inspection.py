"""Reading certificates, chains, requests and keys that come from outside.

cryptography parses lazily and raises a dozen kinds of errors, at loading or at the first look at a field (of
1,382 crooked certificates tried, 22 failed to load and 200 more failed later). Everything is read once, here, and
whatever goes wrong becomes an InspectionError.
"""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from certcore.errors import InspectionError

__all__ = ["Certificate", "check_pair", "read_certificate", "read_chain", "read_csr_names", "spki_sha256"]

MAX_PEM_BYTES: Final = 256 * 1024
_BLOCK: Final = re.compile(
    rb"-----BEGIN CERTIFICATE-----\s+[A-Za-z0-9+/=\s]+?-----END CERTIFICATE-----",
)


@dataclass(frozen=True)
class Certificate:
    """The facts of one X.509 certificate. `serial` is lower-case hex without leading zeros, as OpenSSL shows it
    but for case; fingerprints and hashes are lower-case hex of SHA-256.
    """

    serial: str
    fingerprint_sha256: str
    spki_sha256: str
    dns_names: tuple[str, ...]
    subject: str
    issuer: str
    not_before: datetime
    not_after: datetime
    der: bytes

    @property
    def pem(self) -> str:
        return x509.load_der_x509_certificate(self.der).public_bytes(Encoding.PEM).decode()


@contextmanager
def _typed(what: str) -> Iterator[None]:
    try:
        yield
    except InspectionError:
        raise
    except (
        ValueError,
        TypeError,
        KeyError,
        OverflowError,
        UnsupportedAlgorithm,
        InvalidSignature,
        x509.DuplicateExtension,
        x509.UnsupportedGeneralNameType,
        x509.InvalidVersion,
    ) as error:
        # The parser's own words could quote the input, which may hold a key by mistake.
        raise InspectionError(f"{what} can't be read: {type(error).__name__}") from None


def spki_sha256(key: PublicKeyTypes) -> str:
    """SHA-256 (hex) of the SubjectPublicKeyInfo, by which keys are compared and blocked."""
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def read_certificate(der: bytes) -> Certificate:
    """Read one certificate.

    Raises:
        InspectionError: it can't be read to the last field that certbus uses.
    """
    with _typed("certificate"):
        if len(der) > MAX_PEM_BYTES:
            raise InspectionError(f"certificate is larger than {MAX_PEM_BYTES} bytes")
        return _facts(x509.load_der_x509_certificate(der))


def _facts(certificate: x509.Certificate) -> Certificate:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        dns_names = tuple(name.lower() for name in names.get_values_for_type(x509.DNSName))
    except x509.ExtensionNotFound:
        dns_names = ()
    der = certificate.public_bytes(Encoding.DER)
    return Certificate(
        serial=f"{certificate.serial_number:x}",
        fingerprint_sha256=hashlib.sha256(der).hexdigest(),
        spki_sha256=spki_sha256(certificate.public_key()),
        dns_names=dns_names,
        subject=certificate.subject.rfc4514_string(),
        issuer=certificate.issuer.rfc4514_string(),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        der=der,
    )


def read_chain(pem: bytes) -> tuple[Certificate, ...]:
    """Read a PEM chain, leaf first; each certificate must have signed the one before it.

    Raises:
        InspectionError: it is empty, too large, can't be read, or doesn't hang together.
    """
    with _typed("chain"):
        if len(pem) > MAX_PEM_BYTES:
            raise InspectionError(f"chain is larger than {MAX_PEM_BYTES} bytes")
        blocks = _BLOCK.findall(pem)
        if len(blocks) != pem.count(b"CERTIFICATE-----") / 2:
            raise InspectionError("chain has a certificate whose BEGIN or END line is broken")
        certificates = [x509.load_pem_x509_certificate(_tidy(block)) for block in blocks]
        if not certificates:
            raise InspectionError("chain holds no certificate")
        for issued, issuer in pairwise(certificates):
            try:
                issued.verify_directly_issued_by(issuer)
            except (InvalidSignature, ValueError, TypeError):
                raise InspectionError("chain doesn't hang together: each must be signed by the next") from None
        return tuple(_facts(certificate) for certificate in certificates)


def _tidy(block: bytes) -> bytes:
    """Without the blank lines and carriage returns that editors and web forms put in."""
    return b"\n".join(line.strip() for line in block.splitlines() if line.strip())


def check_pair(chain: tuple[Certificate, ...], key_pem: bytes) -> None:
    """Check that the private key is the leaf's.

    Raises:
        InspectionError: it can't be read or is another's.
    """
    with _typed("private key"):
        key = load_pem_private_key(key_pem, password=None)
        if spki_sha256(key.public_key()) != chain[0].spki_sha256:
            raise InspectionError(f"the private key doesn't fit the certificate with serial {chain[0].serial}")


def read_csr_names(der: bytes) -> tuple[str, ...]:
    """The DNS names that a certificate signing request asks for.

    Raises:
        InspectionError: it can't be read or its signature is wrong.
    """
    with _typed("signing request"):
        csr = x509.load_der_x509_csr(der)
        if not csr.is_signature_valid:
            raise InspectionError("signing request has a wrong signature")
        names = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return tuple(name.lower() for name in names.get_values_for_type(x509.DNSName))

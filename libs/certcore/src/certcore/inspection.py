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
from functools import lru_cache
from itertools import pairwise
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from certcore.certificate import KeyAlgorithm
from certcore.errors import InspectionError

__all__ = [
    "CertificateRequest",
    "X509Certificate",
    "check_pair",
    "read_certificate",
    "read_chain",
    "read_csr",
    "spki_sha256",
]

MAX_PEM_BYTES: Final = 256 * 1024
_ISSUERS_KEPT: Final = 32
_BLOCK: Final = re.compile(
    rb"-----BEGIN CERTIFICATE-----\s+[A-Za-z0-9+/=\s]+?-----END CERTIFICATE-----",
)


@dataclass(frozen=True)
class X509Certificate:
    """The facts of one X.509 certificate. `serial` is lower-case hex without leading zeros, as OpenSSL shows it
    but for case; fingerprints and hashes are lower-case hex of SHA-256.
    """

    serial: str
    fingerprint_sha256: str
    spki_sha256: str
    key_algorithm: KeyAlgorithm | None
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


def read_certificate(der: bytes) -> X509Certificate:
    """Read one certificate.

    Raises:
        InspectionError: it can't be read to the last field that certbus uses.
    """
    with _typed("certificate"):
        if len(der) > MAX_PEM_BYTES:
            raise InspectionError(f"certificate is larger than {MAX_PEM_BYTES} bytes")
        return _facts(x509.load_der_x509_certificate(der))


def _facts(certificate: x509.Certificate) -> X509Certificate:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        dns_names = tuple(name.lower() for name in names.get_values_for_type(x509.DNSName))
    except x509.ExtensionNotFound:
        dns_names = ()
    der = certificate.public_bytes(Encoding.DER)
    return X509Certificate(
        serial=f"{certificate.serial_number:x}",
        fingerprint_sha256=hashlib.sha256(der).hexdigest(),
        spki_sha256=spki_sha256(certificate.public_key()),
        key_algorithm=_key_algorithm(certificate.public_key()),
        dns_names=dns_names,
        subject=certificate.subject.rfc4514_string(),
        issuer=certificate.issuer.rfc4514_string(),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        der=der,
    )


def read_chain(pem: bytes) -> tuple[X509Certificate, ...]:
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
        if not blocks:
            raise InspectionError("chain holds no certificate")
        leaf = x509.load_pem_x509_certificate(_tidy(blocks[0]))
        issuers = _read_issuers(tuple(map(_tidy, blocks[1:])))
        if issuers:
            _check_signed(leaf, issuers[0][0])
        return (_facts(leaf), *(facts for _, facts in issuers))


@lru_cache(maxsize=_ISSUERS_KEPT)
def _read_issuers(blocks: tuple[bytes, ...]) -> tuple[tuple[x509.Certificate, X509Certificate], ...]:
    """A chain without its leaf: a CA signs all it signs under the same ones."""
    certificates = [x509.load_pem_x509_certificate(block) for block in blocks]
    for issued, issuer in pairwise(certificates):
        _check_signed(issued, issuer)
    return tuple((certificate, _facts(certificate)) for certificate in certificates)


def _check_signed(issued: x509.Certificate, issuer: x509.Certificate) -> None:
    try:
        issued.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError):
        raise InspectionError("chain doesn't hang together: each must be signed by the next") from None


def _tidy(block: bytes) -> bytes:
    """Without the blank lines and carriage returns that editors and web forms put in."""
    return b"\n".join(line.strip() for line in block.splitlines() if line.strip())


def check_pair(chain: tuple[X509Certificate, ...], key_pem: bytes) -> None:
    """Check that the private key is the leaf's.

    Raises:
        InspectionError: it can't be read or is another's.
    """
    with _typed("private key"):
        key = load_pem_private_key(key_pem, password=None)
        if spki_sha256(key.public_key()) != chain[0].spki_sha256:
            raise InspectionError(f"the private key doesn't fit the certificate with serial {chain[0].serial}")


@dataclass(frozen=True)
class CertificateRequest:
    """The facts of a signing request (PKCS #10). `pem` is the request alone, whatever stood around it."""

    dns_names: tuple[str, ...]
    spki_sha256: str
    key_algorithm: KeyAlgorithm | None
    pem: str


def read_csr(encoded: bytes) -> CertificateRequest:
    """Read a signing request in DER or PEM.

    Raises:
        InspectionError: it can't be read, asks for no DNS name or for other names beside, or its signature is wrong.
    """
    with _typed("signing request"):
        if len(encoded) > MAX_PEM_BYTES:
            raise InspectionError(f"signing request is larger than {MAX_PEM_BYTES} bytes")
        pem = encoded.lstrip().startswith(b"-----BEGIN")
        csr = x509.load_pem_x509_csr(encoded) if pem else x509.load_der_x509_csr(encoded)
        if not csr.is_signature_valid:
            raise InspectionError("signing request has a wrong signature")
        try:
            names = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except x509.ExtensionNotFound:
            raise InspectionError("signing request asks for no DNS name") from None
        dns_names = tuple(name.lower() for name in names.get_values_for_type(x509.DNSName))
        if not dns_names:
            raise InspectionError("signing request asks for no DNS name")
        if len(dns_names) != len(list(names)):
            # A CA that signs what the request says would sign an address, too.
            raise InspectionError("signing request asks for other names than DNS names")
        return CertificateRequest(
            dns_names=dns_names,
            spki_sha256=spki_sha256(csr.public_key()),
            key_algorithm=_key_algorithm(csr.public_key()),
            pem=csr.public_bytes(Encoding.PEM).decode(),
        )


def _key_algorithm(key: PublicKeyTypes) -> KeyAlgorithm | None:
    match key:
        case ec.EllipticCurvePublicKey():
            return {"secp256r1": KeyAlgorithm.EC_P256, "secp384r1": KeyAlgorithm.EC_P384}.get(key.curve.name)
        case rsa.RSAPublicKey():
            return {2048: KeyAlgorithm.RSA_2048, 3072: KeyAlgorithm.RSA_3072}.get(key.key_size)
        case _:
            return None

"""The CA of a local system: it signs what the system's own servers and clients show each other over TLS.

The certificates that certbus manages come from elsewhere.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from certcore.clock import Clock, system_clock
from certlocal.private_file import replace_file

__all__ = ["LocalCa", "Pair"]

_CA_LIFETIME: Final = timedelta(days=3650)
_LIFETIME: Final = timedelta(days=365)
_LEAST_LEFT: Final = 1 / 3
"""Of its lifetime: a certificate with less left is replaced."""


@dataclass(frozen=True)
class Pair:
    """A certificate, its key, and the CA that signed it, each in a PEM file."""

    certificate_file: Path
    key_file: Path
    ca_file: Path


@dataclass(frozen=True)
class _Held:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


class LocalCa:
    """Its certificate and key lie in the folder, as does all that it issues. They are kept from start to start, and
    made anew where they are due, damaged, or of an earlier CA.
    """

    def __init__(self, folder: Path, *, clock: Clock = system_clock) -> None:
        self.ca_file = folder / "ca.pem"
        self._folder = folder
        self._clock = clock
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._ca = self._kept("ca") or self._make_ca()

    def server(self, name: str) -> Pair:
        """For a server on loopback: valid for 127.0.0.1 and localhost."""
        places = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        return self._pair(name, name, ExtendedKeyUsageOID.SERVER_AUTH, places)

    def client(self, name: str) -> Pair:
        """For a client of that name."""
        return self._pair(f"{name}-client", name, ExtendedKeyUsageOID.CLIENT_AUTH, [x509.DNSName(name)])

    def _pair(self, stem: str, name: str, usage: x509.ObjectIdentifier, names: Sequence[x509.GeneralName]) -> Pair:
        if self._kept(stem, of=self._ca.certificate) is None:
            key = ec.generate_private_key(ec.SECP256R1())
            certificate = (
                self._builder(_name(name), self._ca.certificate.subject, key, self._ca.key, _LIFETIME)
                .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
                .add_extension(_key_usage(signs_certificates=False), critical=True)
                .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
                .add_extension(x509.SubjectAlternativeName(names), critical=False)
                .sign(self._ca.key, hashes.SHA256())
            )
            self._keep(stem, _Held(certificate, key))
        return Pair(self._folder / f"{stem}.pem", self._folder / f"{stem}.key", self.ca_file)

    def _make_ca(self) -> _Held:
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name("certbus local CA")
        certificate = (
            self._builder(name, name, key, key, _CA_LIFETIME)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(signs_certificates=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        made = _Held(certificate, key)
        self._keep("ca", made)
        return made

    def _kept(self, stem: str, *, of: x509.Certificate | None = None) -> _Held | None:
        """What lies there and can go on being used."""
        try:
            certificate = x509.load_pem_x509_certificate((self._folder / f"{stem}.pem").read_bytes())
            key = load_pem_private_key((self._folder / f"{stem}.key").read_bytes(), None)
            certificate.verify_directly_issued_by(of or certificate)
        except (OSError, ValueError, TypeError, InvalidSignature):
            return None
        lifetime = certificate.not_valid_after_utc - certificate.not_valid_before_utc
        fits = isinstance(key, ec.EllipticCurvePrivateKey) and key.public_key() == certificate.public_key()
        due = certificate.not_valid_after_utc - self._clock() < lifetime * _LEAST_LEFT
        return _Held(certificate, key) if fits and not due and isinstance(key, ec.EllipticCurvePrivateKey) else None

    def _keep(self, stem: str, held: _Held) -> None:
        # After a crash between the two they don't fit, and are made again.
        key_pem = held.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        replace_file(self._folder / f"{stem}.key", key_pem, mode=0o600)
        replace_file(self._folder / f"{stem}.pem", held.certificate.public_bytes(Encoding.PEM), mode=0o644)

    def _builder(
        self,
        subject: x509.Name,
        issuer: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        issuer_key: ec.EllipticCurvePrivateKey,
        lifetime: timedelta,
    ) -> x509.CertificateBuilder:
        now = self._clock()
        own, above = key.public_key(), issuer_key.public_key()
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(own)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + lifetime)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(own), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(above), critical=False)
        )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )

"""Certificates for tests, made in memory: a root, an intermediate, and leaves of any age and name.

The keys are fresh in each run; names and serial numbers are the same.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.serials import serials

__all__ = ["Authority", "Issued", "key_pem", "pem"]


@dataclass(frozen=True)
class Issued:
    """A leaf with its key; `chain` is what a server should send, leaf first, without the root."""

    leaf: x509.Certificate
    chain: tuple[x509.Certificate, ...]
    key_pem: str = field(repr=False)

    @property
    def chain_pem(self) -> str:
        return "".join(pem(certificate) for certificate in self.chain)

    @property
    def leaf_pem(self) -> str:
        return pem(self.leaf)

    @property
    def serial(self) -> str:
        return f"{self.leaf.serial_number:x}"

    @property
    def dns_names(self) -> tuple[str, ...]:
        names = self.leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return tuple(names.get_values_for_type(x509.DNSName))

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.leaf.public_bytes(Encoding.DER)).hexdigest()


def pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()


def key_pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


class Authority:
    def __init__(self, name: str = "certbus test") -> None:
        self._root_key = ec.generate_private_key(ec.SECP256R1())
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._serials = serials(name)
        root, issuing = _name(f"{name} root"), _name(f"{name} issuing CA")
        self.root = _sign(root, root, self._root_key.public_key(), self._root_key, next(self._serials), ca=True)
        self.issuing = _sign(issuing, root, self._key.public_key(), self._root_key, next(self._serials), ca=True)

    @property
    def root_pem(self) -> str:
        return pem(self.root)

    def issue(
        self,
        *names: str,
        not_before: datetime | None = None,
        not_after: datetime | None = None,
        extra: Sequence[x509.ExtensionType] = (),
        rsa_bits: int | None = None,
    ) -> Issued:
        """A leaf for DNS names, by default valid since an hour for 30 days; `extra` makes it larger."""
        key = rsa.generate_private_key(65537, rsa_bits) if rsa_bits else ec.generate_private_key(ec.SECP256R1())
        sans = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        leaf = _sign(
            _name(names[0][:64] if names else "nobody"),
            self.issuing.subject,
            key.public_key(),
            self._key,
            next(self._serials),
            not_before=not_before,
            not_after=not_after,
            extensions=([sans] if names else []) + list(extra),
        )
        return Issued(leaf, (leaf, self.issuing), key_pem(key))

    def sign(self, csr_pem: str, *names: str) -> Issued:
        """A leaf for the key of a signing request, which stays where it is: `key_pem` is empty."""
        csr = x509.load_pem_x509_csr(csr_pem.encode())
        public_key = csr.public_key()
        assert isinstance(public_key, ec.EllipticCurvePublicKey)
        sans = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        issuer, serial = self.issuing.subject, next(self._serials)
        leaf = _sign(_name(names[0][:64]), issuer, public_key, self._key, serial, extensions=[sans])
        return Issued(leaf, (leaf, self.issuing), "")

    @staticmethod
    def self_signed(*names: str) -> Issued:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _name(names[0])
        sans = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        leaf = _sign(subject, subject, key.public_key(), key, next(serials(f"itself {names[0]}")), extensions=[sans])
        return Issued(leaf, (leaf,), key_pem(key))


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _sign(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
    signing_key: ec.EllipticCurvePrivateKey,
    serial: int,
    *,
    ca: bool = False,
    not_before: datetime | None = None,
    not_after: datetime | None = None,
    extensions: Sequence[x509.ExtensionType] = (),
) -> x509.Certificate:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(serial)
        .not_valid_before(not_before or now - timedelta(hours=1))
        .not_valid_after(not_after or now + timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(signing_key, hashes.SHA256())

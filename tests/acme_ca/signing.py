"""The CA's certificates: a root, an intermediate, and leaves as they were asked for, or wrong in one way."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from tests.acme_ca.conduct import LeafFault
from tests.acme_ca.jws import text
from tests.serials import serials

__all__ = ["Signed", "Signer", "ari_id"]

_LIFETIME: Final = timedelta(days=90)
_BACKDATED: Final = timedelta(hours=1)


@dataclass(frozen=True)
class Signed:
    leaf: x509.Certificate
    chain: bytes = field(repr=False)


class Signer:
    def __init__(self, name: str = "scripted CA") -> None:
        self._serials = serials(name)
        self._root_key = ec.generate_private_key(ec.SECP256R1())
        self._key = ec.generate_private_key(ec.SECP256R1())
        root, issuing = _name(f"{name} root"), _name(f"{name} issuing CA")
        self.root = self._ca(root, root, self._root_key, self._root_key)
        self.issuing = self._ca(issuing, root, self._key, self._root_key)

    @property
    def root_pem(self) -> str:
        return self.root.public_bytes(Encoding.PEM).decode()

    def sign(self, csr: x509.CertificateSigningRequest, names: Sequence[str], fault: LeafFault | None) -> Signed:
        if fault is LeafFault.FOREIGN_KEY:
            leaf = self._leaf(ec.generate_private_key(ec.SECP256R1()).public_key(), names)
        else:
            leaf = self._leaf(csr.public_key(), _wrong_names(names, fault), starts_in=_STARTS_IN.get(fault))
        chain = [leaf, self.issuing]
        if fault is LeafFault.CHAIN_REVERSED:
            chain.reverse()
        if fault is LeafFault.FOREIGN_INTERMEDIATE:
            chain[1] = Signer("a foreign CA").issuing
        if fault is LeafFault.NO_PEM:
            return Signed(leaf, b"<html>your certificate is being prepared</html>")
        return Signed(leaf, b"".join(one.public_bytes(Encoding.PEM) for one in chain))

    def _leaf(
        self, key: CertificatePublicKeyTypes, names: Sequence[str], *, starts_in: timedelta | None = None
    ) -> x509.Certificate:
        starts = datetime.now(UTC) + (-_BACKDATED if starts_in is None else starts_in)
        sans = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(self.issuing.subject)
            .public_key(key)
            .serial_number(next(self._serials))
            .not_valid_before(starts)
            .not_valid_after(starts + _LIFETIME)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(sans, critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, SHA256())
        )

    def _ca(
        self,
        subject: x509.Name,
        issuer: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        signing_key: ec.EllipticCurvePrivateKey,
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(next(self._serials))
            .not_valid_before(now - _BACKDATED)
            .not_valid_after(now + timedelta(days=3650))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(signing_key, SHA256())
        )


def ari_id(leaf: x509.Certificate) -> str:
    """RFC 9773 §4.1."""
    authority = leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    serial = leaf.serial_number
    return f"{text(authority.key_identifier or b'')}.{text(serial.to_bytes(serial.bit_length() // 8 + 1, 'big'))}"


_STARTS_IN: Final[dict[LeafFault | None, timedelta]] = {
    LeafFault.EXPIRED: -_LIFETIME - timedelta(days=1),
    LeafFault.NOT_YET_VALID: timedelta(days=2),
}


def _wrong_names(names: Sequence[str], fault: LeafFault | None) -> Sequence[str]:
    if fault is LeafFault.NAME_MISSING:
        return [*names[:-1], f"not-{names[-1].removeprefix('*.')}"] if len(names) == 1 else names[:-1]
    if fault is LeafFault.NAME_ADDED:
        return [*names, "added.example.org"]
    return names


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])

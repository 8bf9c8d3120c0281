"""The files of a private CA for tests: a root, and a CA below it that signs."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from tests.authority import pem

__all__ = ["CaFiles", "a_ca"]

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True)
class CaFiles:
    chain_file: Path
    key_file: Path
    root: x509.Certificate
    signing: x509.Certificate
    key: Key = field(repr=False)

    def settings(self, name: str = "own", **more: Any) -> dict[str, Any]:
        files = {"chain_file": str(self.chain_file), "key_file": str(self.key_file)}
        return {"kind": "files", "name": name, **files, **more}


def a_ca(
    folder: Path,
    *,
    key: Key | None = None,
    passphrase: bytes | None = None,
    now: datetime | None = None,
    days: int = 365,
    is_ca: bool = True,
    may_sign: bool = True,
    may_sign_crls: bool = True,
    root_path_length: int | None = 1,
    constraints: x509.NameConstraints | None = None,
    alone: bool = False,
) -> CaFiles:
    """`alone` has the root sign by itself."""
    now = now or datetime.now(UTC)
    key = key or ec.generate_private_key(ec.SECP256R1())
    root_key = key if alone else ec.generate_private_key(ec.SECP256R1())
    root = _certificate("a root", None, root_key, root_key, now=now, days=3650, path_length=root_path_length)
    signing = (
        root
        if alone
        else _certificate(
            "a CA",
            root,
            key,
            root_key,
            now=now,
            days=days,
            path_length=0,
            is_ca=is_ca,
            may_sign=may_sign,
            may_sign_crls=may_sign_crls,
            extra=constraints,
        )
    )
    encryption: KeySerializationEncryption = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    folder.mkdir(parents=True, exist_ok=True)
    chain_file, key_file = folder / "ca.pem", folder / "ca.key"
    chain_file.write_text("".join(pem(one) for one in dict.fromkeys((signing, root))))
    key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    key_file.chmod(0o600)
    return CaFiles(chain_file, key_file, root, signing, key)


def _certificate(
    name: str,
    issuer: x509.Certificate | None,
    key: Key,
    signing_key: Key,
    *,
    now: datetime,
    days: int,
    path_length: int | None,
    is_ca: bool = True,
    may_sign: bool = True,
    may_sign_crls: bool = True,
    extra: x509.NameConstraints | None = None,
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=may_sign,
        crl_sign=may_sign and may_sign_crls,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=path_length if is_ca else None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if extra is not None:
        builder = builder.add_extension(extra, critical=True)
    return builder.sign(signing_key, hashes.SHA256())

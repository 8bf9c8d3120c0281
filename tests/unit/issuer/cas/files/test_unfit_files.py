"""Files that no trusted leaf could be signed with: the issuer says which setting is in the way, and doesn't start."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import ValidationError

from issuer.cas.files.files_ca import FilesCa
from issuer.cas.files.settings import FilesCaSettings
from issuer.domain.errors import CaUnfitError
from issuer.domain.job import JobId
from issuer.domain.signing import SigningRequest
from tests.private_ca import CaFiles, a_ca
from tests.unit.issuer.samples import NOON

WEAK = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 # what must be refused


def read(files: CaFiles, **more: Any) -> FilesCa:
    return FilesCa.read(FilesCaSettings.model_validate(files.settings(**more)), clock=lambda: NOON)


def foreign_key(files: CaFiles) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    files.key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def readable_key(files: CaFiles) -> None:
    files.key_file.chmod(0o640)


def no_key(files: CaFiles) -> None:
    files.key_file.unlink()


def no_pem_key(files: CaFiles) -> None:
    files.key_file.write_text("not a key")


def no_chain(files: CaFiles) -> None:
    files.chain_file.write_text("not a chain")


def wrong_order(files: CaFiles) -> None:
    files.chain_file.write_bytes(files.root.public_bytes(Encoding.PEM) + files.signing.public_bytes(Encoding.PEM))


def foreign_root(files: CaFiles) -> None:
    other = a_ca(files.chain_file.parent / "other", now=NOON)
    files.chain_file.write_bytes(files.signing.public_bytes(Encoding.PEM) + other.root.public_bytes(Encoding.PEM))


@pytest.mark.parametrize(
    ("spoil", "field", "why"),
    [
        (foreign_key, "chain_file", "its first certificate has another key than key_file"),
        (readable_key, "key_file", "mode 0640: others may read it. Run chmod 600"),
        (no_key, "key_file", "can't be read: No such file"),
        (no_pem_key, "key_file", "holds no private key in PEM"),
        (no_chain, "chain_file", "holds no certificates in PEM"),
        (wrong_order, "chain_file", "another key than key_file"),
        (foreign_root, "chain_file", "CN=a CA isn't signed by the next one, CN=a root"),
    ],
)
def test_files_that_do_not_fit_together_are_refused(
    tmp_path: Path, spoil: Callable[[CaFiles], None], field: str, why: str
) -> None:
    files = a_ca(tmp_path, now=NOON)
    read(files)
    spoil(files)
    with pytest.raises(CaUnfitError, match=why) as refused:
        read(files)
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("made", "why"),
    [
        ({"is_ca": False}, "CN=a CA is no CA"),
        ({"may_sign": False}, r"CN=a CA may not sign certificates \(keyUsage\)"),
        ({"root_path_length": 0}, "CN=a root allows 0 CAs below it, and there would be 1"),
        ({"now": NOON - timedelta(days=60), "days": 30}, "to 2026-01-30T12:00Z, which is not now"),
        ({"now": NOON + timedelta(days=5)}, "which is not now"),
    ],
)
def test_a_ca_whose_leaves_nobody_would_trust_is_refused(tmp_path: Path, made: dict[str, Any], why: str) -> None:
    with pytest.raises(CaUnfitError, match=why) as refused:
        read(a_ca(tmp_path, **{"now": NOON, **made}))
    assert refused.value.field == "chain_file"


def test_a_weak_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CaUnfitError, match="RSA of 2048 bits or more"):
        read(a_ca(tmp_path, key=WEAK, now=NOON))


def test_an_encrypted_key_opens_with_its_passphrase_only(tmp_path: Path) -> None:
    files = a_ca(tmp_path, passphrase=b"correct horse", now=NOON)
    passphrase_file = tmp_path / "passphrase"
    passphrase_file.write_text("correct horse\n")
    passphrase_file.chmod(0o600)
    read(files, passphrase_file=str(passphrase_file))
    with pytest.raises(CaUnfitError, match="is encrypted: name a file with its passphrase"):
        read(files)
    passphrase_file.write_text("wrong")
    with pytest.raises(CaUnfitError, match="doesn't open with the passphrase") as refused:
        read(files, passphrase_file=str(passphrase_file))
    assert "wrong" not in str(refused.value)
    passphrase_file.chmod(0o644)
    with pytest.raises(CaUnfitError, match=r"passphrase_file: .* mode 0644"):
        read(files, passphrase_file=str(passphrase_file))


def test_a_passphrase_for_a_key_in_clear_is_a_mistake(tmp_path: Path) -> None:
    files = a_ca(tmp_path, now=NOON)
    (tmp_path / "passphrase").touch(mode=0o600)
    (tmp_path / "passphrase").write_text("x")
    with pytest.raises(CaUnfitError, match="isn't encrypted: leave this out"):
        read(files, passphrase_file=str(tmp_path / "passphrase"))


def test_a_root_alone_signs_too_and_is_not_sent(tmp_path: Path) -> None:
    ca = read(a_ca(tmp_path, now=NOON, alone=True))
    key = ec.generate_private_key(ec.SECP256R1())
    names = x509.SubjectAlternativeName([x509.DNSName("a.internal")])
    csr = (
        x509.CertificateSigningRequestBuilder(x509.Name([])).add_extension(names, critical=False).sign(key, SHA256())
    )
    asked = SigningRequest(JobId("a-certificate", 1), csr.public_bytes(Encoding.DER), ("a.internal",), NOON)
    assert len(x509.load_pem_x509_certificates(asyncio.run(ca.sign(asked)).encode())) == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [("crl_url", "https://pki.example.org/ca.crl"), ("validity_days", 0), ("validity_days", 900), ("surprise", 1)],
)
def test_settings_that_mean_nothing_are_refused(tmp_path: Path, field: str, value: Any) -> None:
    with pytest.raises(ValidationError, match=field):
        FilesCaSettings.model_validate(a_ca(tmp_path, now=NOON).settings(**{field: value}))

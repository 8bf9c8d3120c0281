import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from certcore.errors import PermanentError
from issuer.cas.acme.account_key import AccountSafe, key_of_earlier_version, new_account_key
from issuer.cas.acme.jws import PrivateKey

URL = "https://ca.test/directory"
SAFE = AccountSafe(bytes(32))


def kept_file(folder: Path, content: bytes) -> None:
    path = folder / "accounts" / f"a-ca-{hashlib.sha256(URL.encode()).hexdigest()[:12]}.pem"
    path.parent.mkdir()
    path.write_bytes(content)


def pem(key: PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def test_a_sealed_key_is_opened_by_the_key_that_sealed_it() -> None:
    key = new_account_key()
    record = SAFE.seal(key, ca="a-ca", directory_url=URL)
    assert record.url is None
    assert SAFE.open(record).private_key.private_numbers() == key.private_key.private_numbers()


def test_another_journal_key_is_told_by_the_settings_name_and_the_way_out() -> None:
    record = AccountSafe(bytes([1]) * 32).seal(new_account_key(), ca="a-ca", directory_url=URL)
    with pytest.raises(PermanentError, match=r"a-ca.*journal_key_file.*remove the CA's row"):
        SAFE.open(record)


@pytest.mark.parametrize("change", [{"ca": "b-ca"}, {"directory_url": f"{URL}/staging"}, {"sealed_key": b"short"}])
def test_a_sealed_key_opens_only_in_its_own_place(change: dict[str, object]) -> None:
    record = replace(SAFE.seal(new_account_key(), ca="a-ca", directory_url=URL), **change)  # type: ignore[arg-type] # by parameter
    with pytest.raises(PermanentError):
        SAFE.open(record)


def test_a_thumbprint_that_is_not_the_keys_is_refused() -> None:
    record = replace(SAFE.seal(new_account_key(), ca="a-ca", directory_url=URL), key_thumbprint="another")
    with pytest.raises(PermanentError, match=r"has the thumbprint .* and the journal says another"):
        SAFE.open(record)


def test_a_key_has_no_repr_of_what_it_holds() -> None:
    key = new_account_key()
    assert isinstance(key.private_key, ec.EllipticCurvePrivateKey)
    shown = f"{key!r} {SAFE!r} {SAFE.seal(key, ca='a-ca', directory_url=URL)!r}"
    assert str(key.private_key.private_numbers().private_value) not in shown


def test_the_key_file_of_an_earlier_version_is_found(tmp_path: Path) -> None:
    assert key_of_earlier_version(tmp_path, ca="a-ca", directory_url=URL) is None
    kept = new_account_key()
    kept_file(tmp_path, pem(kept.private_key))
    found = key_of_earlier_version(tmp_path, ca="a-ca", directory_url=URL)
    assert found is not None
    assert found.thumbprint == kept.thumbprint


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "can't be read as a private key"),
        (b"not a key", "can't be read as a private key"),
        (pem(rsa.generate_private_key(65537, 2048)), r"holds no EC P-256 key"),
        (pem(ec.generate_private_key(ec.SECP384R1())), r"holds no EC P-256 key"),
    ],
)
def test_a_file_that_holds_no_account_key_is_told(tmp_path: Path, content: bytes, why: str) -> None:
    kept_file(tmp_path, content)
    with pytest.raises(PermanentError, match=why):
        key_of_earlier_version(tmp_path, ca="a-ca", directory_url=URL)

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)

from certcore.errors import PermanentError
from issuer.adapters.leaf_key import read_leaf_key

EC = ec.generate_private_key(ec.SECP256R1())
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def written(
    folder: Path,
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey,
    *,
    mode: int = 0o600,
    encryption: KeySerializationEncryption | None = None,
) -> Path:
    path = folder / "leaf.key"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption()))
    path.chmod(mode)
    return path


@pytest.mark.parametrize("key", [EC, RSA], ids=["ec", "rsa"])
def test_the_key_is_read(tmp_path: Path, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> None:
    assert read_leaf_key(written(tmp_path, key)).public_key() == key.public_key()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_key_that_others_may_read_is_refused_with_what_to_do(tmp_path: Path, mode: int) -> None:
    path = written(tmp_path, EC, mode=mode)
    with pytest.raises(PermanentError, match=rf"mode {mode:04o}: others may read it. Run chmod 600 {path}"):
        read_leaf_key(path)


def test_what_is_no_such_key_is_told_without_a_word_of_it(tmp_path: Path) -> None:
    path = tmp_path / "leaf.key"
    with pytest.raises(PermanentError, match="can't be read: No such file"):
        read_leaf_key(path)
    with pytest.raises(PermanentError, match="is encrypted"):
        read_leaf_key(written(tmp_path, EC, encryption=BestAvailableEncryption(b"secret")))
    with pytest.raises(PermanentError, match="must hold an EC or RSA key"):
        read_leaf_key(written(tmp_path, ed25519.Ed25519PrivateKey.generate()))
    path.write_text("-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n")
    with pytest.raises(PermanentError, match="holds no private key in PEM") as raised:
        read_leaf_key(path)
    assert "c2VjcmV0" not in str(raised.value)
    assert raised.value.__cause__ is None

"""The key of an ACME account: in a file of mode 0600, on disk before the CA hears of it."""

import hashlib
import os
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from josepy.jwk import JWKEC

from certcore.errors import PermanentError

__all__ = ["load_account_key"]


def load_account_key(folder: Path, *, ca: str, directory_url: str) -> JWKEC:
    """The key for this CA at this directory, made at the first call: another directory is another account.

    Raises:
        PermanentError: the file holds no EC P-256 key.
    """
    digest = hashlib.sha256(directory_url.encode()).hexdigest()[:12]
    path = folder / "accounts" / f"{ca}-{digest}.pem"
    if not path.exists():
        _make(path)
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except ValueError:
        raise PermanentError(f"{path} can't be read as a private key") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise PermanentError(f"{path} holds no EC P-256 key")
    return JWKEC(key=key)


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    # Whole or not at all: a crash between must not leave half a key that nobody can replace.
    draft = path.with_suffix(f".{os.getpid()}.new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)

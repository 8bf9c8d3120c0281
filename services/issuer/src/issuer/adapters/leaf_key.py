"""The private key of a certificate, as its owner gives it to have the certificate revoked."""

import os
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from certcore.errors import PermanentError

__all__ = ["read_leaf_key"]

_LARGEST_BYTES: Final = 64 * 1024


def read_leaf_key(path: Path) -> ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey:
    """
    Raises:
        PermanentError: it can't be read, others may read it, or it is no key of a certificate; nothing of the file is
            in the message.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            mode = os.fstat(descriptor).st_mode & 0o777
            if mode & 0o077:
                raise PermanentError(f"{path} has mode {mode:04o}: others may read it. Run chmod 600 {path}")
            pem = file.read(_LARGEST_BYTES)
    except OSError as error:
        raise PermanentError(f"{path} can't be read: {error.strerror}") from None
    try:
        key = load_pem_private_key(pem, password=None)
    except TypeError:
        raise PermanentError(f"{path} is encrypted: decrypt it first") from None
    except (ValueError, UnsupportedAlgorithm):
        # The parser's words could quote the key.
        raise PermanentError(f"{path} holds no private key in PEM") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise PermanentError(f"{path} must hold an EC or RSA key")
    return key

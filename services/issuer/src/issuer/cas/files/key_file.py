"""Reads the private key of a CA. What is wrong with it is told without a word of what is in it."""

import os
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from issuer.cas.files.settings import FilesCaSettings
from issuer.domain.errors import CaUnfitError

__all__ = ["CURVES", "LEAST_RSA_BITS", "CaKey", "read_key"]

CaKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

CURVES: Final = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
LEAST_RSA_BITS: Final = 2048
_LARGEST_BYTES: Final = 64 * 1024


def read_key(settings: FilesCaSettings) -> CaKey:
    """
    Raises:
        CaUnfitError: it can't be read, others may read it, or it is no key to sign with.
    """
    pem = _secret(settings.name, "key_file", settings.key_file)
    passphrase = None
    if settings.passphrase_file is not None:
        passphrase = _secret(settings.name, "passphrase_file", settings.passphrase_file).rstrip(b"\r\n")
    try:
        key = load_pem_private_key(pem, password=passphrase)
    except TypeError:
        if passphrase is None:
            raise CaUnfitError(
                settings.name, "passphrase_file", f"{settings.key_file} is encrypted: name a file with its passphrase"
            ) from None
        raise CaUnfitError(
            settings.name, "passphrase_file", f"{settings.key_file} isn't encrypted: leave this out"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        # The parser's words could quote the key.
        why = "holds no private key in PEM" if passphrase is None else "doesn't open with the passphrase"
        raise CaUnfitError(settings.name, "key_file", f"{settings.key_file} {why}") from None
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, CURVES):
        return key
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= LEAST_RSA_BITS:
        return key
    raise CaUnfitError(
        settings.name, "key_file", f"{settings.key_file} must be EC (P-256, P-384, P-521) or RSA of 2048 bits or more"
    )


def _secret(ca: str, field: str, path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode & 0o777
            if mode & 0o077:
                raise CaUnfitError(ca, field, f"{path} has mode {mode:04o}: others may read it. Run chmod 600 {path}")
            return file.read(_LARGEST_BYTES)
    except OSError as error:
        raise CaUnfitError(ca, field, f"{path} can't be read: {error.strerror}") from error

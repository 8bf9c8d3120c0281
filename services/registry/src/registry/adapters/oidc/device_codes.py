"""A provider's code for a device, stored so that only the command that began can have it used."""

import base64
import hashlib
import secrets
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["opened", "sealed"]

_NONCE: Final = 12


def sealed(device_code: str, *, verifier: str) -> str:
    nonce = secrets.token_bytes(_NONCE)
    return base64.b64encode(nonce + _cipher(verifier).encrypt(nonce, device_code.encode(), None)).decode()


def opened(text: str, *, verifier: str) -> str | None:
    """None by another verifier."""
    raw = base64.b64decode(text)
    try:
        return _cipher(verifier).decrypt(raw[:_NONCE], raw[_NONCE:], None).decode()
    except InvalidTag:
        return None


def _cipher(verifier: str) -> AESGCM:
    return AESGCM(hashlib.sha256(f"certbus device code {verifier}".encode()).digest())

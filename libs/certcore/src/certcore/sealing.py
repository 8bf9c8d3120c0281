"""Private keys sealed to one recipient by HPKE (RFC 9180: X25519, HKDF-SHA256, AES-256-GCM).

The `info` of each seal names recipient, certificate, revision and variant, so that a sealed key can't be replayed for
another. Nobody between issuer and recipient can open one: not the registry, not the broker, not a backup.
"""

import base64
import binascii
import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from certcore.errors import SealingError
from certcore.private_files import make_private

__all__ = [
    "RecipientKey",
    "SealContext",
    "decode_public_key",
    "encode_public_key",
    "generate_recipient_key",
    "key_id",
    "open_sealed",
    "seal",
]

_SUITE: Final = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


@dataclass(frozen=True)
class SealContext:
    """The facts that a sealed key is bound to."""

    recipient: str
    certificate_id: str
    revision: int
    variant: str

    def info(self) -> bytes:
        return f"certbus/v2|{self.recipient}|{self.certificate_id}|{self.revision}|{self.variant}".encode()

    def first_info(self) -> bytes:
        """What keys were bound to before there were variants."""
        return f"certbus/v1|{self.recipient}|{self.certificate_id}|{self.revision}".encode()


@dataclass(frozen=True)
class RecipientKey:
    """A recipient's own private key; its name is part of what it can open."""

    name: str
    private_key: X25519PrivateKey = field(repr=False)

    @property
    def public_key(self) -> str:
        return encode_public_key(self.private_key.public_key())

    @property
    def key_id(self) -> str:
        return key_id(self.public_key)

    @classmethod
    def load(cls, name: str, path: Path) -> "RecipientKey":
        """Read the raw key that `generate_recipient_key` wrote.

        Raises:
            SealingError: the file doesn't hold 32 bytes.
        """
        raw = path.read_bytes()
        if len(raw) != 32:
            raise SealingError(f"{path} is no recipient key: it has {len(raw)} bytes instead of 32")
        return cls(name, X25519PrivateKey.from_private_bytes(raw))


def generate_recipient_key(name: str, path: Path) -> RecipientKey:
    """Make a key in a new file of mode 0600; an existing file is loaded instead, never overwritten.

    Raises:
        SealingError: the file that is there doesn't hold 32 bytes.
    """
    if path.exists():
        return RecipientKey.load(name, path)
    # A crash between must not leave half a key that nobody can replace.
    make_private(path, X25519PrivateKey.generate().private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption()))
    return RecipientKey.load(name, path)


def key_id(public_key: str) -> str:
    """Names a recipient's key: the first 16 hex digits of the SHA-256 of its raw public half.

    Raises:
        SealingError: `public_key` is no X25519 public key.
    """
    return hashlib.sha256(decode_public_key(public_key).public_bytes_raw()).hexdigest()[:16]


def encode_public_key(key: X25519PublicKey) -> str:
    return base64.b64encode(key.public_bytes_raw()).decode()


def decode_public_key(encoded: str) -> X25519PublicKey:
    """Read a public key from base64.

    Raises:
        SealingError: it is no X25519 public key.
    """
    try:
        return X25519PublicKey.from_public_bytes(base64.b64decode(encoded, validate=True))
    except (binascii.Error, ValueError) as error:
        raise SealingError("not an X25519 public key in base64") from error


def seal(key_pem: bytes, *, public_key: str, context: SealContext) -> bytes:
    """Seal a private key for the holder of `public_key`; the result may be stored and shown anywhere.

    Raises:
        SealingError: `public_key` is no X25519 public key.
    """
    return _SUITE.encrypt(key_pem, decode_public_key(public_key), info=context.info())


def open_sealed(sealed: bytes, *, key: RecipientKey, context: SealContext, sealed_to: str | None) -> bytes:
    """Open a sealed key. `sealed_to` is the id of the key that it was sealed to; None for one sealed before keys had
    ids, which is bound to no variant.

    Raises:
        SealingError: it was sealed to somebody else, for another certificate or revision, or was changed.
    """
    if sealed_to is not None and sealed_to != key.key_id:
        raise SealingError(
            f"the key of certificate {context.certificate_id} revision {context.revision} is sealed to the key"
            f" {sealed_to[:16]} of {context.recipient}, and this is {key.key_id}: it must be sealed again"
        )
    info = context.first_info() if sealed_to is None else context.info()
    try:
        return _SUITE.decrypt(sealed, key.private_key, info=info)
    except (InvalidTag, ValueError) as error:
        raise SealingError(
            f"the sealed key of certificate {context.certificate_id} revision {context.revision}"
            f" can't be opened by {key.name}"
        ) from error

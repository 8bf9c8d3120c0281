"""The private key of an account, sealed by the journal's key: a journal that was stolen alone opens none.

It is bound to the CA and its directory, so that a row can't be put in another's place.
"""

import hashlib
import os
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
    load_pem_private_key,
)

from certcore.errors import PermanentError
from issuer.cas.acme.jws import SigningKey
from issuer.domain.account import AccountRecord

__all__ = ["AccountSafe", "key_of_earlier_version", "new_account_key"]

_NONCE_BYTES: Final = 12


class AccountSafe:
    """`journal_key` is 32 bytes, the same at each issuer that shares the journal. It has no repr of them."""

    def __init__(self, journal_key: bytes) -> None:
        self._cipher = AESGCM(journal_key)

    def seal(self, key: SigningKey, *, ca: str, directory_url: str) -> AccountRecord:
        """The record of an account that the CA hasn't heard of."""
        plain = key.private_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        nonce = os.urandom(_NONCE_BYTES)
        sealed = nonce + self._cipher.encrypt(nonce, plain, _bound_to(ca, directory_url))
        return AccountRecord(ca, directory_url, key.thumbprint, sealed)

    def open(self, record: AccountRecord) -> SigningKey:
        """The key of an account.

        Raises:
            PermanentError: it was sealed by another journal key, or isn't the key that the record says.
        """
        nonce, sealed = record.sealed_key[:_NONCE_BYTES], record.sealed_key[_NONCE_BYTES:]
        try:
            plain = self._cipher.decrypt(nonce, sealed, _bound_to(record.ca, record.directory_url))
        except (InvalidTag, ValueError):
            raise PermanentError(
                f"the account key of CA {record.ca} was sealed by another key than that of journal_key_file: give"
                " this issuer the file of the issuer that wrote it, or, if that is lost, remove the CA's row from"
                " the journal's table acme_account: then a new account is made"
            ) from None
        key = _account_key(load_der_private_key(plain, password=None), "the journal")
        if key.thumbprint != record.key_thumbprint:
            raise PermanentError(
                f"the account key of CA {record.ca} has the thumbprint {key.thumbprint}, and the journal says"
                f" {record.key_thumbprint}: restore the table acme_account from a backup"
            )
        return key


def new_account_key() -> SigningKey:
    return SigningKey(ec.generate_private_key(ec.SECP256R1()))


def key_of_earlier_version(state_folder: Path, *, ca: str, directory_url: str) -> SigningKey | None:
    """The key in the file where an earlier version kept it.

    Raises:
        PermanentError: the file holds no EC P-256 key.
    """
    digest = hashlib.sha256(directory_url.encode()).hexdigest()[:12]
    path = state_folder / "accounts" / f"{ca}-{digest}.pem"
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except FileNotFoundError:
        return None
    except ValueError:
        raise PermanentError(f"{path} can't be read as a private key") from None
    return _account_key(key, str(path))


def _account_key(key: object, where: str) -> SigningKey:
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise PermanentError(f"{where} holds no EC P-256 key")
    return SigningKey(key)


def _bound_to(ca: str, directory_url: str) -> bytes:
    return f"certbus/acme-account/v1|{ca}|{directory_url}".encode()

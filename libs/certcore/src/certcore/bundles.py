"""A revision as it is stored and carried: the chain in clear, the key only sealed."""

import base64
import binascii
import hashlib
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict

from certcore.errors import InspectionError
from certcore.inspection import Certificate, check_pair, read_chain
from certcore.sealing import RecipientKey, SealContext, open_sealed

__all__ = ["Bundle", "IssuedBundle", "SealedBundle", "SealedKey", "digest"]


class SealedKey(BaseModel):
    """One recipient's copy of the private key, in base64."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    recipient: str
    sealed: str

    def raw(self) -> bytes:
        try:
            return base64.b64decode(self.sealed, validate=True)
        except binascii.Error as error:
            raise InspectionError(f"the sealed key for {self.recipient} is not base64") from error

    @classmethod
    def of(cls, recipient: str, sealed: bytes) -> "SealedKey":
        return cls(recipient=recipient, sealed=base64.b64encode(sealed).decode())


class IssuedBundle(BaseModel):
    """What the issuer hands to the registry: one chain, one sealed key for each recipient."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    chain_pem: str
    keys: tuple[SealedKey, ...]


class SealedBundle(BaseModel):
    """What the registry serves to one recipient."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    certificate_id: str
    revision: int
    chain_pem: str
    key: SealedKey

    def sha256(self) -> str:
        return digest(self.chain_pem, self.key)

    def open(self, key: RecipientKey) -> "Bundle":
        """Open and check the bundle: the key must fit the leaf, and the chain must hang together.

        Raises:
            SealingError: it is not for this recipient, certificate or revision.
            InspectionError: chain and key can't be read or don't fit.
        """
        context = SealContext(key.name, self.certificate_id, self.revision)
        key_pem = open_sealed(self.key.raw(), key=key, context=context)
        chain = read_chain(self.chain_pem.encode())
        check_pair(chain, key_pem)
        return Bundle(self.certificate_id, self.revision, chain, self.chain_pem.encode(), key_pem)


@dataclass(frozen=True)
class Bundle:
    """An opened bundle: lives in memory of a recipient, for as long as a delivery takes."""

    certificate_id: str
    revision: int
    chain: tuple[Certificate, ...]
    chain_pem: bytes
    key_pem: bytes = field(repr=False)

    @property
    def leaf(self) -> Certificate:
        return self.chain[0]


def digest(chain_pem: str, key: SealedKey) -> str:
    """SHA-256 (hex) by which a deployment order refers to one recipient's bundle."""
    return hashlib.sha256(f"{chain_pem}\n{key.recipient}\n{key.sealed}".encode()).hexdigest()

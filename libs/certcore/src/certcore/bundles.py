"""One variant of a revision as it is stored and carried: the chain in clear, the key only sealed, if there is one."""

import base64
import hashlib
from dataclasses import dataclass, field

from certcore.errors import InspectionError
from certcore.events import Recipient
from certcore.inspection import X509Certificate, check_pair, read_chain
from certcore.placements import PLATFORM
from certcore.reading import ReadModel
from certcore.sealing import RecipientKey, SealContext, open_sealed

__all__ = [
    "Bundle",
    "IssueReport",
    "IssuedBundle",
    "ResealWanted",
    "ResealedKeys",
    "SealedBundle",
    "SealedKey",
    "StoredBundle",
    "digest",
]


class SealedKey(ReadModel):
    """One recipient's copy of the private key, in base64. `key_id` names the recipient's key that it is sealed to;
    it is missing where it was sealed before keys had ids.
    """

    recipient: str
    sealed: str
    key_id: str | None = None

    def raw(self) -> bytes:
        try:
            return base64.b64decode(self.sealed, validate=True)
        except ValueError as error:
            # Also of text that isn't ASCII, which is no `binascii.Error`.
            raise InspectionError(f"the sealed key for {self.recipient} is not base64") from error

    @classmethod
    def of(cls, recipient: str, sealed: bytes, key_id: str | None) -> "SealedKey":
        return cls(recipient=recipient, sealed=base64.b64encode(sealed).decode(), key_id=key_id)


class IssueReport(ReadModel):
    """How it was issued: what `RevisionIssued` says beside the bundle itself."""

    ca: str
    validation_method: str
    ari_id: str | None = None


class IssuedBundle(ReadModel):
    """What the issuer hands to the registry: one chain, and one sealed key for each recipient.

    `keys` is empty where the variant's key is held elsewhere. With a `report` the revision counts as issued as soon
    as it is stored; without one, when `RevisionIssued` comes. `escrow` is the copy that is sealed to the escrow, for
    keys that are to be sealed again; a registry of an earlier version drops it.
    """

    chain_pem: str
    keys: tuple[SealedKey, ...]
    report: IssueReport | None = None
    escrow: SealedKey | None = None


class StoredBundle(ReadModel):
    """The registry's answer. `reported`: the report was taken too, and `RevisionIssued` is not needed.

    A registry of an earlier version answers nothing, which means that it was not.
    """

    reported: bool = False


class ResealWanted(ReadModel):
    """Recipients that should have a key and can't open any copy of it: they are new, or have another key by now.

    `key` is the escrow's copy, `spki_sha256` names the public key that it must fit.
    """

    certificate_id: str
    revision: int
    variant: str = PLATFORM
    spki_sha256: str
    key: SealedKey
    recipients: tuple[Recipient, ...]


class ResealedKeys(ReadModel):
    """What the escrow hands to the registry: a copy for each recipient that was wanted, or for some of them."""

    keys: tuple[SealedKey, ...]


class SealedBundle(ReadModel):
    """What the registry serves to one recipient; without a key where the recipient's target made its own."""

    certificate_id: str
    revision: int
    chain_pem: str
    key: SealedKey | None
    variant: str = PLATFORM

    def sha256(self) -> str:
        return digest(self.chain_pem, self.key)

    def open(self, key: RecipientKey) -> "Bundle":
        """Open and check the bundle: the key, if there is one, must fit the leaf, and the chain must hang together.

        Raises:
            SealingError: it is not for this recipient, certificate or revision.
            InspectionError: chain and key can't be read or don't fit.
        """
        key_pem = self._opened(self.key, key) if self.key is not None else None
        chain = read_chain(self.chain_pem.encode())
        if key_pem is not None:
            check_pair(chain, key_pem)
        return Bundle(self.certificate_id, self.revision, self.variant, chain, self.chain_pem.encode(), key_pem)

    def _opened(self, sealed: SealedKey, key: RecipientKey) -> bytes:
        context = SealContext(key.name, self.certificate_id, self.revision, self.variant)
        return open_sealed(sealed.raw(), key=key, context=context, sealed_to=sealed.key_id)


@dataclass(frozen=True)
class Bundle:
    """An opened bundle: lives in memory of a recipient, for as long as a delivery takes.

    `key_pem` is None where the target made its own key.
    """

    certificate_id: str
    revision: int
    variant: str
    chain: tuple[X509Certificate, ...]
    chain_pem: bytes
    key_pem: bytes | None = field(repr=False)

    @property
    def leaf(self) -> X509Certificate:
        return self.chain[0]


def digest(chain_pem: str, key: SealedKey | None) -> str:
    """SHA-256 (hex) by which a deployment order refers to one recipient's bundle."""
    sealed = f"{key.recipient}\n{key.sealed}" if key is not None else ""
    return hashlib.sha256(f"{chain_pem}\n{sealed}".encode()).hexdigest()

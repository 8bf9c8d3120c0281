"""Sealing a key again: opened, compared and sealed inside one function."""

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from certcore.bundles import ResealWanted, SealedKey
from certcore.errors import SealingError
from certcore.identities import ESCROW
from certcore.inspection import spki_sha256
from certcore.sealing import RecipientKey, SealContext, key_id, open_sealed, seal

__all__ = ["reseal"]


def reseal(wanted: ResealWanted, escrow: RecipientKey) -> tuple[SealedKey, ...]:
    """A copy for each recipient that is wanted, bound to it and to certificate, revision and variant.

    Raises:
        SealingError: the escrow can't open its copy, it is not the key of the leaf, or a recipient has no usable key.
        InspectionError: the copy is no base64.
    """
    what = (wanted.certificate_id, wanted.revision, wanted.variant)
    name = f"the key of certificate {wanted.certificate_id} revision {wanted.revision} ({wanted.variant})"
    if any(recipient.name == ESCROW for recipient in wanted.recipients):
        raise SealingError(f"{name} is not sealed to the escrow again")
    pem = open_sealed(
        wanted.key.raw(), key=escrow, context=SealContext(ESCROW, *what), sealed_to=wanted.key.key_id or ""
    )
    if _spki_of(pem) != wanted.spki_sha256:
        raise SealingError(f"{name} is another than that of the leaf")
    return tuple(
        SealedKey.of(
            recipient.name,
            seal(pem, public_key=recipient.public_key, context=SealContext(recipient.name, *what)),
            key_id(recipient.public_key),
        )
        for recipient in wanted.recipients
    )


def _spki_of(pem: bytes) -> str | None:
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        return None
    return spki_sha256(key.public_key())

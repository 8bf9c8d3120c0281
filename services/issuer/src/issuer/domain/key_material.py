"""Key custody: a private key is made, sealed and forgotten inside one function."""

from collections.abc import Callable, Container
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from certcore.bundles import SealedKey
from certcore.certificate import KeyAlgorithm
from certcore.events import IssueOrder, Recipient
from certcore.identities import ESCROW
from certcore.inspection import spki_sha256
from certcore.sealing import SealContext, key_id, seal
from issuer.domain.errors import UnsupportedIssueOrderError
from issuer.domain.offered_csr import OfferedCsr, UnfitCsrError, read_offered
from issuer.domain.x509_subject import subject_of

__all__ = ["ESCROW", "KeyMaterial", "make_key_material", "new_rsa_key"]


@dataclass(frozen=True)
class KeyMaterial:
    """All that is ever stored of a key: sealed copies (the escrow's among them), the CSR in DER, the SPKI hash.

    There are no copies where the key is held elsewhere.
    """

    csr_der: bytes
    spki_sha256: str
    sealed: tuple[SealedKey, ...]

    @property
    def for_escrow(self) -> SealedKey | None:
        """The escrow's copy, which the registry keeps for it."""
        return next((key for key in self.sealed if key.recipient == ESCROW), None)

    def for_recipients(self) -> tuple[SealedKey, ...]:
        """Their own copies."""
        return tuple(key for key in self.sealed if key.recipient != ESCROW)


def make_key_material(
    issue_order: IssueOrder,
    *,
    escrow_public_key: str | None,
    blocked: Container[str] = (),
    rsa_key: Callable[[int], rsa.RSAPrivateKey] | None = None,
    common_name: bool = False,
) -> KeyMaterial:
    """Make a fresh key, a CSR for the issue order's names, and a sealed copy for each recipient, and for escrow where
    there is one. Where the key is held elsewhere, none is made: the CSR is the one that was offered.

    `rsa_key` gives an RSA key of so many bits, which is used for nothing else.

    `common_name` is for CAs that want a name in the subject, too.

    Raises:
        SealingError: a recipient's public key is none.
        UnsupportedIssueOrderError: the key algorithm is unknown, the signing request isn't fit to be signed, or the
            SHA-256 of the public key is among the blocked ones.
    """
    offered = _offered(issue_order)
    if offered is not None:
        _check(offered.spki_sha256, blocked)
        return KeyMaterial(csr_der=offered.der, spki_sha256=offered.spki_sha256, sealed=())
    key = _generate(issue_order.key_algorithm, rsa_key or new_rsa_key)
    _check(spki_sha256(key.public_key()), blocked)
    names = x509.SubjectAlternativeName([x509.DNSName(name) for name in issue_order.dns_names])
    subject = subject_of(issue_order.dns_names, common_name=common_name)
    csr = x509.CertificateSigningRequestBuilder(subject).add_extension(names, critical=False)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    recipients = issue_order.recipients
    if escrow_public_key is not None:
        recipients += (Recipient(name=ESCROW, public_key=escrow_public_key),)
    return KeyMaterial(
        csr_der=csr.sign(key, SHA256()).public_bytes(Encoding.DER),
        spki_sha256=spki_sha256(key.public_key()),
        sealed=tuple(_sealed(pem, recipient, issue_order) for recipient in recipients),
    )


def _check(spki_sha256: str, blocked: Container[str]) -> None:
    if spki_sha256 in blocked:
        raise UnsupportedIssueOrderError(f"the key with the public half {spki_sha256} is blocked: others know it")


def _offered(issue_order: IssueOrder) -> OfferedCsr | None:
    try:
        return read_offered(issue_order)
    except UnfitCsrError as error:
        raise UnsupportedIssueOrderError(str(error)) from None


def _sealed(pem: bytes, recipient: Recipient, issue_order: IssueOrder) -> SealedKey:
    context = SealContext(recipient.name, issue_order.certificate_id, issue_order.revision, issue_order.variant)
    sealed = seal(pem, public_key=recipient.public_key, context=context)
    return SealedKey.of(recipient.name, sealed, key_id(recipient.public_key))


def new_rsa_key(bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def _generate(
    algorithm: str, rsa_key: Callable[[int], rsa.RSAPrivateKey]
) -> ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey:
    match algorithm:
        case KeyAlgorithm.EC_P256:
            return ec.generate_private_key(ec.SECP256R1())
        case KeyAlgorithm.EC_P384:
            return ec.generate_private_key(ec.SECP384R1())
        case KeyAlgorithm.RSA_2048:
            return rsa_key(2048)
        case KeyAlgorithm.RSA_3072:
            return rsa_key(3072)
    raise UnsupportedIssueOrderError(f"the key algorithm {algorithm[:80]!r} is unknown")

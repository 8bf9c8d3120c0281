"""The signing request of a key that is held elsewhere. The registry checked it; who acts on it checks it again."""

from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from certcore.errors import InspectionError
from certcore.events import IssueOrder
from certcore.inspection import read_csr
from certcore.placements import PLATFORM

__all__ = ["OfferedCsr", "UnfitCsrError", "read_offered"]


class UnfitCsrError(Exception):
    """It is not to be signed; its text says why and quotes nothing of the request."""


@dataclass(frozen=True)
class OfferedCsr:
    """The request alone, whatever stood around it, and the hash of its public key."""

    der: bytes
    spki_sha256: str


def read_offered(issue_order: IssueOrder) -> OfferedCsr | None:
    """The signing request to issue by; None where the issuer makes the key.

    Raises:
        UnfitCsrError: it can't be read, its signature is wrong, it asks for other names or has another kind of key
            than was ordered, or the order is for a key that would have to be sealed to somebody.
    """
    if issue_order.csr_pem is None:
        return None
    if issue_order.variant == PLATFORM or issue_order.recipients:
        raise UnfitCsrError("a key that is held elsewhere is sealed to nobody, and has a variant of its own")
    try:
        csr = read_csr(issue_order.csr_pem.encode(errors="replace"))
    except InspectionError as error:
        raise UnfitCsrError(f"the {error}") from None
    ordered = {name.lower() for name in issue_order.dns_names}
    if set(csr.dns_names) != ordered:
        raise UnfitCsrError("the signing request asks for other names than were ordered")
    if csr.key_algorithm is None or csr.key_algorithm != issue_order.key_algorithm:
        kind = csr.key_algorithm or "an unknown kind"
        raise UnfitCsrError(f"the signing request has a key of {kind}, not {issue_order.key_algorithm}")
    request = x509.load_pem_x509_csr(csr.pem.encode())
    common = {str(item.value).lower() for item in request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)}
    if not common <= ordered:
        # Some CAs sign a common name as one more DNS name.
        raise UnfitCsrError("the signing request has a common name that is none of the names that were ordered")
    return OfferedCsr(request.public_bytes(Encoding.DER), csr.spki_sha256)

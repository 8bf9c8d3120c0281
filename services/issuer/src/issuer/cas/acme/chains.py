"""Which of the chains that a CA offers for a certificate is taken."""

from cryptography import x509
from cryptography.x509.oid import NameOID

__all__ = ["topmost_issuer"]


def topmost_issuer(chain_pem: str) -> str | None:
    """Common name of who signed the topmost certificate; None where it has none, or the chain can't be read."""
    try:
        topmost = x509.load_pem_x509_certificates(chain_pem.encode())[-1]
        named = topmost.issuer.get_attributes_for_oid(NameOID.COMMON_NAME)
    except (ValueError, IndexError):
        return None
    return str(named[0].value) if named else None

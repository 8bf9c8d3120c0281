"""What every client of the benchmark asks for: a key and a request of one name."""

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

__all__ = ["a_request"]


def a_request(name: str) -> tuple[ec.EllipticCurvePrivateKey, bytes]:
    """A new P-256 key, and the signing request in DER."""
    key = ec.generate_private_key(ec.SECP256R1())
    names = x509.SubjectAlternativeName([x509.DNSName(name)])
    builder = x509.CertificateSigningRequestBuilder(x509.Name([])).add_extension(names, critical=False)
    return key, builder.sign(key, SHA256()).public_bytes(Encoding.DER)

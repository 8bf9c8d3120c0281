"""Signing requests (PKCS #10), as targets that make their own key offer them."""

from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

__all__ = ["csr_pem", "with_wrong_signature"]

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def csr_pem(
    *names: str, key: Key | None = None, common_name: str = "checkout", others: Sequence[x509.GeneralName] = ()
) -> str:
    """For DNS names and `others`; without any it has no subject alternative names at all."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    )
    asked = [*(x509.DNSName(name) for name in names), *others]
    if asked:
        builder = builder.add_extension(x509.SubjectAlternativeName(asked), critical=False)
    signed = builder.sign(key or ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return signed.public_bytes(Encoding.PEM).decode()


def with_wrong_signature(pem: str) -> str:
    """The same request with another name in it, under the signature of before."""
    der = x509.load_pem_x509_csr(pem.encode()).public_bytes(Encoding.DER)
    changed = x509.load_der_x509_csr(der.replace(b"checkout", b"checkouT", 1))
    return changed.public_bytes(Encoding.PEM).decode()

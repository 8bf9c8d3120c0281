"""The leaf that a CA by files signs. All of it follows from the request: the same request gets the same leaf."""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

from certcore.inspection import spki_sha256
from issuer.cas.files.chain import CaChain
from issuer.cas.files.key_file import CaKey
from issuer.cas.files.settings import FilesCaSettings
from issuer.domain.signing import SigningRequest, Usage
from issuer.domain.x509_subject import subject_of

__all__ = [
    "LeafKey",
    "Validity",
    "authority_key",
    "digest_of",
    "serial_secret",
    "signed_leaf",
    "validity",
]

LeafKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey

_OIDS: Final = {Usage.SERVER: ExtendedKeyUsageOID.SERVER_AUTH, Usage.CLIENT: ExtendedKeyUsageOID.CLIENT_AUTH}
_SHA384_FROM: Final = 384


@dataclass(frozen=True)
class Validity:
    not_before: datetime
    not_after: datetime


def validity(settings: FilesCaSettings, chain: CaChain, at: datetime) -> Validity:
    """In whole seconds, as X.509 has them, and not longer than the CA's own."""
    at = at.replace(microsecond=0)
    return Validity(
        not_before=max(at - timedelta(minutes=settings.backdate_minutes), chain.not_before),
        not_after=min(at + timedelta(days=settings.validity_days), chain.not_after),
    )


def serial_secret(key: CaKey) -> bytes:
    """What serials are derived with, the same wherever this CA's key is; nobody else can foretell them."""
    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=b"certbus serial numbers").derive(der)


def signed_leaf(
    request: SigningRequest,
    public_key: LeafKey,
    *,
    settings: FilesCaSettings,
    chain: CaChain,
    key: CaKey,
    secret: bytes,
) -> x509.Certificate:
    spki = spki_sha256(public_key)
    valid = validity(settings, chain, request.at)
    digest = digest_of(settings, key)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject_of(request.dns_names, common_name=settings.common_name))
        .issuer_name(chain.signer.subject)
        .public_key(public_key)
        .serial_number(_serial(secret, request, settings, chain, spki=spki, valid=valid))
        .not_valid_before(valid.not_before)
        .not_valid_after(valid.not_after)
    )
    for extension, critical in _extensions(request, public_key, settings=settings, chain=chain):
        builder = builder.add_extension(extension, critical=critical)
    # A nonce that follows from what is signed (RFC 6979): the same leaf has the same signature.
    deterministic = True if isinstance(key, ec.EllipticCurvePrivateKey) else None
    return builder.sign(key, digest, ecdsa_deterministic=deterministic)


def _serial(
    secret: bytes, request: SigningRequest, settings: FilesCaSettings, chain: CaChain, *, spki: str, valid: Validity
) -> int:
    """159 bits from all that makes the leaf what it is: another leaf has another serial."""
    facts = (
        request.job.certificate_id,
        str(request.job.revision),
        request.job.variant,
        spki,
        valid.not_before.isoformat(),
        valid.not_after.isoformat(),
        *sorted(request.usages),
        settings.model_dump_json(include={"common_name", "digest", "crl_url", "issuer_url"}),
        chain.signer.fingerprint(hashes.SHA256()).hex(),
        *request.dns_names,
    )
    told = "\0".join(facts).encode()
    return int.from_bytes(hmac.new(secret, told, hashlib.sha256).digest()[:20]) >> 1 or 1


def _extensions(
    request: SigningRequest, public_key: LeafKey, *, settings: FilesCaSettings, chain: CaChain
) -> list[tuple[x509.ExtensionType, bool]]:
    names = x509.SubjectAlternativeName([x509.DNSName(name) for name in request.dns_names])
    empty_subject = not list(subject_of(request.dns_names, common_name=settings.common_name))
    found: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_key_usage(public_key), True),
        (x509.ExtendedKeyUsage([_OIDS[usage] for usage in sorted(request.usages)]), False),
        (names, empty_subject),
        (x509.SubjectKeyIdentifier.from_public_key(public_key), False),
        (authority_key(chain.signer), False),
    ]
    if settings.crl_url is not None:
        at = x509.DistributionPoint([x509.UniformResourceIdentifier(settings.crl_url)], None, None, None)
        found.append((x509.CRLDistributionPoints([at]), False))
    if settings.issuer_url is not None:
        url = x509.UniformResourceIdentifier(settings.issuer_url)
        access = x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, url)
        found.append((x509.AuthorityInformationAccess([access]), False))
    return found


def _key_usage(public_key: LeafKey) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        # For TLS 1.2 without forward secrecy; an EC key has no such use.
        key_encipherment=isinstance(public_key, rsa.RSAPublicKey),
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def authority_key(signer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    """The signer's own key identifier, whichever way it was made."""
    try:
        own = signer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        key = signer.public_key()
        assert isinstance(key, LeafKey)  # it was compared with the CA's own key
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(key)
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


def digest_of(settings: FilesCaSettings, key: CaKey) -> hashes.SHA256 | hashes.SHA384:
    if settings.digest is not None:
        return hashes.SHA256() if settings.digest == "sha256" else hashes.SHA384()
    large = isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.key_size >= _SHA384_FROM
    return hashes.SHA384() if large else hashes.SHA256()

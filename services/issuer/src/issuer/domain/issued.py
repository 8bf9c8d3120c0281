"""The last look at what a CA signed, before anybody else sees it; and what of it a registry is told that lost it."""

import base64
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509

from certcore.api import IssuedRevision
from certcore.errors import InspectionError
from certcore.inspection import X509Certificate, read_chain
from issuer.domain.errors import UnfitCertificateError
from issuer.domain.job import Job

__all__ = ["ari_id", "check_issued", "issued_revisions"]

_CLOCK_SKEW: Final = timedelta(hours=1)


def check_issued(chain_pem: str, *, spki_sha256: str, dns_names: Collection[str], now: datetime) -> X509Certificate:
    """The leaf, if it has our key and exactly the names asked for, its chain hangs together and it is valid now.

    Raises:
        UnfitCertificateError: it isn't what was asked for.
    """
    try:
        leaf = read_chain(chain_pem.encode())[0]
    except InspectionError as error:
        raise UnfitCertificateError(str(error)) from error
    if leaf.spki_sha256 != spki_sha256:
        raise UnfitCertificateError(
            f"the X.509 certificate with serial {leaf.serial} has another key than the request"
        )
    asked, signed = {name.lower() for name in dns_names}, set(leaf.dns_names)
    if asked != signed:
        raise UnfitCertificateError(
            f"the X.509 certificate with serial {leaf.serial} has other names than asked for:"
            f" missing {sorted(asked - signed)}, added {sorted(signed - asked)}"
        )
    if leaf.not_before > now + _CLOCK_SKEW or leaf.not_after <= now:
        raise UnfitCertificateError(
            f"the X.509 certificate with serial {leaf.serial} is valid from {leaf.not_before:%Y-%m-%dT%H:%MZ}"
            f" to {leaf.not_after:%Y-%m-%dT%H:%MZ}, which is not now"
        )
    return leaf


def issued_revisions(jobs: Iterable[Job], *, now: datetime) -> tuple[IssuedRevision, ...]:
    """Those of the jobs whose bundle can be handed over now: it is what was asked for, valid, and not revoked."""
    return tuple(filter(None, (_issued(job, now) for job in jobs)))


def _issued(job: Job, now: datetime) -> IssuedRevision | None:
    if job.chain_pem is None or job.key is None or job.revocation is not None:
        return None
    spki, dns_names = job.key.spki_sha256, job.issue_order.dns_names
    try:
        leaf = check_issued(job.chain_pem, spki_sha256=spki, dns_names=dns_names, now=now)
    except UnfitCertificateError:
        return None
    return IssuedRevision(
        certificate_id=job.id.certificate_id,
        revision=job.id.revision,
        variant=job.id.variant,
        serial=leaf.serial,
        fingerprint_sha256=leaf.fingerprint_sha256,
        not_before=leaf.not_before,
        not_after=leaf.not_after,
    )


def ari_id(leaf: X509Certificate, *, ordered: bool = True) -> str | None:
    """The leaf's identifier for renewal information (RFC 9773 §4.1); None where it names no authority key, or wasn't
    `ordered` at a CA that could be asked.
    """
    if not ordered:
        return None
    certificate = x509.load_der_x509_certificate(leaf.der)
    try:
        authority = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    except x509.ExtensionNotFound:
        return None
    if authority.key_identifier is None:
        return None
    serial = certificate.serial_number
    # The DER of an INTEGER keeps room for the sign bit.
    encoded = serial.to_bytes(serial.bit_length() // 8 + 1, "big")
    return f"{_base64url(authority.key_identifier)}.{_base64url(encoded)}"


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

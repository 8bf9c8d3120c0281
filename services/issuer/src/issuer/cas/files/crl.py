"""The CRL of a CA by files (RFC 5280 §5): signed here, and replaced as a whole on the disk."""

import os
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from issuer.cas.files.chain import CaChain
from issuer.cas.files.key_file import CaKey
from issuer.cas.files.leaf import LeafKey, authority_key, digest_of
from issuer.cas.files.settings import FilesCaSettings
from issuer.domain.crl import ListedLeaf, PublishedCrl
from issuer.domain.errors import CrlUnwritableError
from issuer.domain.revoked import RevocationReason

__all__ = ["read_crl", "signed_crl", "write_crl"]

_FOR_ALL: Final = 0o644


def signed_crl(
    listed: Sequence[ListedLeaf],
    *,
    number: int,
    now: datetime,
    settings: FilesCaSettings,
    chain: CaChain,
    key: CaKey,
) -> bytes:
    """In DER, as whoever follows a distribution point expects it. It begins earlier, as leaves do: clocks differ."""
    now = now.replace(microsecond=0)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(chain.signer.subject)
        .last_update(max(now - timedelta(minutes=settings.backdate_minutes), chain.not_before))
        .next_update(now + timedelta(hours=settings.crl_hours))
        .add_extension(authority_key(chain.signer), critical=False)
        .add_extension(x509.CRLNumber(number), critical=False)
    )
    for leaf in listed:
        builder = builder.add_revoked_certificate(_entry(leaf))
    deterministic = True if isinstance(key, ec.EllipticCurvePrivateKey) else None
    return builder.sign(key, digest_of(settings, key), ecdsa_deterministic=deterministic).public_bytes(Encoding.DER)


def _entry(leaf: ListedLeaf) -> x509.RevokedCertificate:
    entry = x509.RevokedCertificateBuilder().serial_number(leaf.serial).revocation_date(leaf.revocation.at)
    if leaf.revocation.reason is not RevocationReason.UNSPECIFIED:
        # Unspecified is told by no word (RFC 5280 §5.3.1).
        reason = x509.CRLReason(x509.ReasonFlags(leaf.revocation.reason.value))
        entry = entry.add_extension(reason, critical=False)
    return entry.build()


def read_crl(settings: FilesCaSettings, path: Path, *, chain: CaChain) -> PublishedCrl | None:
    """None where there is none, or none of this CA's that can be read: it is written anew.

    Raises:
        CrlUnwritableError: the file can't be read.
    """
    try:
        der = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CrlUnwritableError(settings.name, f"crl_file {path} can't be read: {error.strerror}") from error
    try:
        crl = x509.load_der_x509_crl(der)
        if crl.next_update_utc is None or not crl.is_signature_valid(_public_key(chain)):
            return None
        number = crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
        serials = frozenset(entry.serial_number for entry in crl)
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.ExtensionNotFound, x509.DuplicateExtension):
        return None
    return PublishedCrl(number, serials, crl.last_update_utc, crl.next_update_utc)


def write_crl(settings: FilesCaSettings, path: Path, der: bytes) -> None:
    """Whole or not at all, for readers and after a crash.

    Raises:
        CrlUnwritableError: it can't be written.
    """
    # Of this process alone: a command may write beside the running issuer.
    draft = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _FOR_ALL)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, _FOR_ALL)
            file.write(der)
            file.flush()
            os.fsync(descriptor)
        draft.replace(path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise CrlUnwritableError(settings.name, f"crl_file {path} can't be written: {error.strerror}") from error


def _public_key(chain: CaChain) -> LeafKey:
    key = chain.signer.public_key()
    assert isinstance(key, LeafKey)  # it was compared with the CA's own key
    return key

"""The certificates of a CA: whether they allow it to sign leaves, until when, and for which names."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding

from certcore.inspection import spki_sha256
from issuer.cas.files.key_file import CaKey
from issuer.domain.errors import CaUnfitError

__all__ = ["CaChain", "read_chain_file"]

ExtensionT = TypeVar("ExtensionT", bound=x509.ExtensionType)


@dataclass(frozen=True)
class CaChain:
    """`certificates` begin with the one that signs; they are valid together from `not_before` to `not_after`."""

    certificates: tuple[x509.Certificate, ...]
    not_before: datetime
    not_after: datetime

    @property
    def signer(self) -> x509.Certificate:
        return self.certificates[0]

    @property
    def sent_pem(self) -> str:
        """What goes with a leaf: all but a root, which whoever trusts it has."""
        return "".join(
            certificate.public_bytes(Encoding.PEM).decode()
            for certificate in self.certificates
            if certificate.issuer != certificate.subject
        )

    @property
    def may_sign_crls(self) -> bool:
        usage = _extension(self.signer, x509.KeyUsage)
        return usage is None or usage.crl_sign

    def outside_constraints(self, dns_names: Sequence[str]) -> str | None:
        """Why a leaf for these names would not be trusted (RFC 5280 §4.2.1.10); None where it would."""
        for certificate in self.certificates:
            constraints = _extension(certificate, x509.NameConstraints)
            if constraints is None:
                continue
            permitted = _dns_subtrees(constraints.permitted_subtrees)
            excluded = _dns_subtrees(constraints.excluded_subtrees)
            for name in dns_names:
                if permitted and not any(_within(name, tree) for tree in permitted):
                    return f"{name} is outside of what {_called(certificate)} may certify: {', '.join(permitted)}"
                for tree in excluded:
                    # A wildcard above an excluded name stands for it, too.
                    if _within(name, tree) or (name.startswith("*.") and _within(tree.lstrip("."), name[2:])):
                        return f"{_called(certificate)} may not certify {name}: it excludes {tree}"
        return None


def read_chain_file(ca: str, path: Path, *, key: CaKey, now: datetime) -> CaChain:
    """
    Raises:
        CaUnfitError: no leaf that is signed with the key would be trusted.
    """
    try:
        certificates = tuple(x509.load_pem_x509_certificates(path.read_bytes()))
    except OSError as error:
        raise CaUnfitError(ca, "chain_file", f"{path} can't be read: {error.strerror}") from error
    except ValueError as error:
        raise CaUnfitError(ca, "chain_file", f"{path} holds no certificates in PEM") from error
    try:
        objection = next(_objections(certificates, key, now), None)
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise CaUnfitError(ca, "chain_file", f"{path} holds a certificate that can't be read") from error
    if objection is not None:
        raise CaUnfitError(ca, "chain_file", f"{path}: {objection}")
    return CaChain(
        certificates,
        not_before=max(certificate.not_valid_before_utc for certificate in certificates),
        not_after=min(certificate.not_valid_after_utc for certificate in certificates),
    )


def _objections(certificates: Sequence[x509.Certificate], key: CaKey, now: datetime) -> Iterator[str]:
    if spki_sha256(certificates[0].public_key()) != spki_sha256(key.public_key()):
        yield "its first certificate has another key than key_file"
    for issued, issuer in pairwise(certificates):
        try:
            issued.verify_directly_issued_by(issuer)
        except (InvalidSignature, TypeError, ValueError):
            yield f"{_called(issued)} isn't signed by the next one, {_called(issuer)}"
    for below, certificate in enumerate(certificates):
        called = _called(certificate)
        basic = _extension(certificate, x509.BasicConstraints)
        if basic is None or not basic.ca:
            yield f"{called} is no CA (basicConstraints)"
        elif basic.path_length is not None and basic.path_length < below:
            yield f"{called} allows {basic.path_length} CAs below it, and there would be {below} (path length)"
        usage = _extension(certificate, x509.KeyUsage)
        if usage is not None and not usage.key_cert_sign:
            yield f"{called} may not sign certificates (keyUsage)"
        if not certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc:
            yield (
                f"{called} is valid from {certificate.not_valid_before_utc:%Y-%m-%dT%H:%MZ}"
                f" to {certificate.not_valid_after_utc:%Y-%m-%dT%H:%MZ}, which is not now"
            )


def _called(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string()[:80] or "a certificate without a subject"


def _extension(certificate: x509.Certificate, kind: type[ExtensionT]) -> ExtensionT | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _dns_subtrees(subtrees: Sequence[x509.GeneralName] | None) -> tuple[str, ...]:
    return tuple(tree.value.lower() for tree in subtrees or () if isinstance(tree, x509.DNSName))


def _within(name: str, tree: str) -> bool:
    """A subtree holds its own name and all below it; with a dot before it, as some write it, only those below."""
    host = name.lower().removeprefix("*.")
    below = f".{tree.removeprefix('.')}"
    if host.endswith(below) or tree == "":
        return True
    return f".{host}" == below and (not tree.startswith(".") or name.startswith("*."))

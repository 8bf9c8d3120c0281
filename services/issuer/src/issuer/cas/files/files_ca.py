"""A CA by key and chain files: it signs in this process, so nothing is asked over a network."""

import asyncio
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Final

import structlog
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from certcore.clock import Clock, system_clock
from certcore.inspection import X509Certificate, spki_sha256
from issuer.cas.files.chain import CaChain, read_chain_file
from issuer.cas.files.crl import read_crl, signed_crl, write_crl
from issuer.cas.files.key_file import CURVES, LEAST_RSA_BITS, CaKey, read_key
from issuer.cas.files.leaf import LeafKey, serial_secret, signed_leaf, validity
from issuer.cas.files.settings import FilesCaSettings
from issuer.domain.crl import ListedLeaf, PublishedCrl
from issuer.domain.errors import CaUnfitError, SigningRefusedError
from issuer.domain.signing import SigningCa, SigningCaSettings, SigningRequest

__all__ = ["KIND", "FilesCa", "FilesKind"]

log = structlog.get_logger()

_UNREADABLE: Final = (
    ValueError,
    TypeError,
    InvalidSignature,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.ExtensionNotFound,
    x509.UnsupportedGeneralNameType,
)


class FilesCa:
    """The files are read once: a CA that is replaced on disk is taken up at the next start."""

    def __init__(self, settings: FilesCaSettings, *, key: CaKey, chain: CaChain, clock: Clock) -> None:
        self.name = settings.name
        self._settings = settings
        self._key = key
        self._chain = chain
        self._clock = clock
        self._secret = serial_secret(key)
        self.authority = spki_sha256(key.public_key())
        self.crl_valid_for = timedelta(hours=settings.crl_hours)
        self.crl_hindrance = None if settings.crl_file else "crl_file isn't set, the file that its CRL is written to"

    @classmethod
    def read(cls, settings: FilesCaSettings, *, clock: Clock) -> "FilesCa":
        """
        Raises:
            CaUnfitError: the files are none that leaves could be signed with; the message names the setting.
        """
        key = read_key(settings)
        chain = read_chain_file(settings.name, settings.chain_file, key=key, now=clock())
        if settings.crl_file is not None and not chain.may_sign_crls:
            raise CaUnfitError(settings.name, "crl_file", "the CA's certificate may not sign CRLs (keyUsage)")
        return cls(settings, key=key, chain=chain, clock=clock)

    async def sign(self, request: SigningRequest) -> str:
        # An RSA signature takes milliseconds: not on the event loop.
        return await asyncio.to_thread(self._sign, request)

    def _sign(self, request: SigningRequest) -> str:
        public_key = self._checked(request)
        leaf = signed_leaf(
            request,
            public_key,
            settings=self._settings,
            chain=self._chain,
            key=self._key,
            secret=self._secret,
        )
        log.info("leaf_signed", ca=self.name, job=str(request.job), serial=f"{leaf.serial_number:x}")
        return leaf.public_bytes(Encoding.PEM).decode() + self._chain.sent_pem

    def signed(self, leaf: X509Certificate) -> bool:
        try:
            x509.load_der_x509_certificate(leaf.der).verify_directly_issued_by(self._chain.signer)
        except (InvalidSignature, TypeError, ValueError):
            return False
        return True

    async def published_crl(self) -> PublishedCrl | None:
        path = self._settings.crl_file
        return None if path is None else await asyncio.to_thread(read_crl, self._settings, path, chain=self._chain)

    async def publish_crl(self, listed: Sequence[ListedLeaf], *, number: int, now: datetime) -> None:
        await asyncio.to_thread(self._publish, listed, number, now)

    def _publish(self, listed: Sequence[ListedLeaf], number: int, now: datetime) -> None:
        settings, path = self._settings, self._settings.crl_file
        if path is None:
            raise CaUnfitError(self.name, "crl_file", self.crl_hindrance or "")
        der = signed_crl(listed, number=number, now=now, settings=settings, chain=self._chain, key=self._key)
        write_crl(settings, path, der)

    def _checked(self, request: SigningRequest) -> LeafKey:
        """The key of the CSR, if its holder signed it and it asks for the names of the request."""
        try:
            csr = x509.load_der_x509_csr(request.csr_der)
            signed = csr.is_signature_valid
            public_key = csr.public_key()
            names = _names(csr)
        except _UNREADABLE as error:
            raise self._refused(f"the CSR can't be read: {type(error).__name__}") from None
        if not signed:
            raise self._refused("the CSR isn't signed by the key that it is for")
        if names != {name.lower() for name in request.dns_names}:
            raise self._refused(f"the CSR asks for {_told(names)}, the request for {_told(request.dns_names)}")
        objection = self._chain.outside_constraints(request.dns_names)
        if objection is not None:
            raise self._refused(objection)
        if not request.usages:
            raise self._refused("it is asked for no use")
        valid = validity(self._settings, self._chain, request.at)
        if valid.not_after <= self._clock():
            raise self._refused(f"its own certificate ends at {self._chain.not_after:%Y-%m-%dT%H:%MZ}")
        return self._usable(public_key)

    def _usable(self, public_key: object) -> LeafKey:
        if isinstance(public_key, ec.EllipticCurvePublicKey) and isinstance(public_key.curve, CURVES):
            return public_key
        if isinstance(public_key, rsa.RSAPublicKey) and public_key.key_size >= LEAST_RSA_BITS:
            return public_key
        raise self._refused("the CSR's key must be EC (P-256, P-384, P-521) or RSA of 2048 bits or more")

    def _refused(self, why: str) -> SigningRefusedError:
        return SigningRefusedError(self.name, why)


def _names(csr: x509.CertificateSigningRequest) -> set[str]:
    """All names, whose case means nothing, that of the subject among them."""
    names = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    common = csr.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return {_spelled(name) for name in names} | {str(name.value).lower() for name in common}


def _spelled(name: x509.GeneralName) -> str:
    """A name of another kind is none that a request could ask for."""
    return name.value.lower() if isinstance(name, x509.DNSName) else f"{type(name).__name__} {name.value}"


def _told(names: Collection[str]) -> str:
    return ", ".join(sorted(names))[:200] or "no name"


class FilesKind:
    kind = "files"
    settings = FilesCaSettings

    def make(self, settings: SigningCaSettings) -> SigningCa:
        return FilesCa.read(FilesCaSettings.model_validate(settings), clock=system_clock)


KIND: Final = FilesKind()

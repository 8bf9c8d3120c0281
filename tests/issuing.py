"""Certificates for tests of deliveries: a small CA, and bundles and orders as registry and issuer make them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from certcore.bundles import Bundle, SealedBundle
from certcore.events import DeploymentOrdered
from certcore.inspection import X509Certificate, read_chain
from certcore.intent import Target
from certcore.placements import PLATFORM, PlacementOrder
from certcore.sealing import RecipientKey
from certdelivery.model import Wanted, Withdrawal
from tests.registry_standin import sealed_key
from tests.serials import serials

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
SITE = "site1"
RECIPIENT = "site1-syncer"
CERTIFICATE_ID = "crt-0001"
NAME = "shop"


def recipient_key(name: str = RECIPIENT) -> RecipientKey:
    return RecipientKey(name, X25519PrivateKey.generate())


def pem_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@dataclass(frozen=True)
class Issued:
    chain_pem: bytes
    key_pem: bytes = field(repr=False)

    @property
    def chain(self) -> tuple[X509Certificate, ...]:
        return read_chain(self.chain_pem)

    @property
    def leaf(self) -> X509Certificate:
        return self.chain[0]

    def bundle(self, revision: int, *, certificate_id: str = CERTIFICATE_ID) -> Bundle:
        return Bundle(certificate_id, revision, PLATFORM, self.chain, self.chain_pem, self.key_pem)

    def sealed(self, revision: int, key: RecipientKey, *, certificate_id: str = CERTIFICATE_ID) -> SealedBundle:
        return SealedBundle(
            certificate_id=certificate_id,
            revision=revision,
            chain_pem=self.chain_pem.decode(),
            key=sealed_key(self.key_pem.decode(), key, certificate_id, revision),
        )


class Authority:
    """A CA whose leaves are valid for years from NOON on; each issued later lasts a day longer."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test CA")])
        self._days = 3650
        self._serials = serials("Test CA")
        self.certificate = self._signed(self._name, self._key, days=36500, ca=True)

    def issue(self, dns_names: Sequence[str] = ("shop.example.org",), *, days: int | None = None) -> Issued:
        self._days += 1
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, dns_names[0])])
        leaf = self._signed(subject, key, days=days or self._days, dns_names=dns_names)
        chain = leaf.public_bytes(Encoding.PEM) + self.certificate.public_bytes(Encoding.PEM)
        return Issued(chain, pem_of(key))

    def _signed(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        *,
        days: int,
        dns_names: Sequence[str] = (),
        ca: bool = False,
    ) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(next(self._serials))
            .not_valid_before(NOON - timedelta(days=1))
            .not_valid_after(NOON + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if dns_names:
            names = x509.SubjectAlternativeName([x509.DNSName(name) for name in dns_names])
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self._key, hashes.SHA256())


def kubernetes_target(
    *namespaces: str, named: str = "shop-tls", clusters: tuple[str, ...] = (), name: str = "web"
) -> Target:
    return target("kubernetes", name, namespaces=namespaces, secret=named, clusters=clusters)


def files_target(*, store: str = "default", name: str = "host") -> Target:
    return target("files", name, store=store)


def target(kind: str, name: str, *, site: str | None = SITE, **fields: object) -> Target:
    return Target.model_validate({"kind": kind, "name": name, "site": site, **fields})


def wanted_for(
    issued: Issued,
    generation: int,
    at: Target,
    *,
    revision: int | None = None,
    certificate_id: str = CERTIFICATE_ID,
    name: str = NAME,
) -> Wanted:
    """The revision's number is that of the generation where none is given."""
    leaf = issued.leaf
    return Wanted(
        certificate_id=certificate_id,
        name=name,
        target=at,
        place=SITE,
        generation=generation,
        revision=revision or generation,
        variant=PLATFORM,
        fingerprint_sha256=leaf.fingerprint_sha256,
        serial=leaf.serial,
        not_after=leaf.not_after,
    )


def withdrawal_of(generation: int, at: Target, *, certificate_id: str = CERTIFICATE_ID) -> Withdrawal:
    return Withdrawal(certificate_id, NAME, at, SITE, generation)


def order_for(
    issued: Issued,
    generation: int,
    targets: Sequence[Target],
    *,
    revision: int | None = None,
    bundle_sha256: str = "0" * 64,
    certificate_id: str = CERTIFICATE_ID,
    name: str = NAME,
    traceparent: str | None = None,
) -> DeploymentOrdered:
    leaf = issued.leaf
    return DeploymentOrdered(
        certificate_id=certificate_id,
        name=name,
        placements=tuple(
            PlacementOrder(
                target=each,
                generation=generation,
                revision=revision or generation,
                fingerprint_sha256=leaf.fingerprint_sha256,
                serial=leaf.serial,
                not_after=leaf.not_after,
                bundle_sha256=bundle_sha256,
            )
            for each in targets
        ),
        traceparent=traceparent,
    )

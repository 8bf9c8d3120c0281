"""A CA by files: what it signs, what it refuses, and that the same request gets the same certificate."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import PolicyBuilder, Store

from certcore.inspection import read_chain
from issuer.cas.files.files_ca import FilesCa
from issuer.cas.files.settings import FilesCaSettings
from issuer.domain.errors import SigningRefusedError
from issuer.domain.job import JobId
from issuer.domain.signing import SigningRequest, Usage
from tests.private_ca import CaFiles, Key, a_ca
from tests.unit.issuer.samples import NOON

NAMES = ("shop.example.org", "*.shop.example.org")
KEY = ec.generate_private_key(ec.SECP256R1())
WEAK = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 # what must be refused
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def csr(
    *names: str,
    key: Key | ed25519.Ed25519PrivateKey = KEY,
    subject: str | None = None,
    others: tuple[x509.GeneralName, ...] = (),
) -> bytes:
    common = [x509.NameAttribute(NameOID.COMMON_NAME, subject)] if subject else []
    sans = x509.SubjectAlternativeName([*(x509.DNSName(name) for name in names), *others])
    builder = x509.CertificateSigningRequestBuilder(x509.Name(common)).add_extension(sans, critical=False)
    digest = None if isinstance(key, ed25519.Ed25519PrivateKey) else SHA256()
    return builder.sign(key, digest).public_bytes(Encoding.DER)


SIGNED = csr(*NAMES)


def request(*names: str, **more: Any) -> SigningRequest:
    names = names or NAMES
    return SigningRequest(
        **{"job": JobId("a-certificate", 1), "csr_der": csr(*names), "dns_names": names, "at": NOON, **more}
    )


def the_ca(files: CaFiles, *, now: datetime = NOON, **more: Any) -> FilesCa:
    return FilesCa.read(FilesCaSettings.model_validate(files.settings(**more)), clock=lambda: now)


def sign(ca: FilesCa, asked: SigningRequest) -> x509.Certificate:
    return x509.load_pem_x509_certificate(asyncio.run(ca.sign(asked)).encode())


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> CaFiles:
    return a_ca(tmp_path_factory.mktemp("ca"), now=NOON)


@pytest.mark.parametrize("ca_key", [None, RSA, ec.generate_private_key(ec.SECP384R1())], ids=["p256", "rsa", "p384"])
def test_a_leaf_is_trusted_by_whoever_trusts_the_root(tmp_path: Path, ca_key: Key | None) -> None:
    files = a_ca(tmp_path, key=ca_key, now=NOON)
    chain = x509.load_pem_x509_certificates(asyncio.run(the_ca(files).sign(request())).encode())
    assert [one.subject for one in chain[1:]] == [files.signing.subject]
    verifier = PolicyBuilder().store(Store([files.root])).time(NOON)
    verifier.build_server_verifier(x509.DNSName("a.shop.example.org")).verify(chain[0], chain[1:])
    assert len(read_chain(b"".join(one.public_bytes(Encoding.PEM) for one in chain))) == 2


def test_a_client_is_trusted_as_a_client_and_not_as_a_server(files: CaFiles) -> None:
    leaf = sign(the_ca(files), request("agent.site1.internal", usages=frozenset({Usage.CLIENT})))
    uses = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(uses) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    PolicyBuilder().store(Store([files.root])).time(NOON).build_client_verifier().verify(leaf, [files.signing])


def test_the_same_request_gets_the_same_certificate_from_each_host(tmp_path: Path) -> None:
    for name, key in (("ec", None), ("rsa", RSA)):
        files = a_ca(tmp_path / name, key=key, now=NOON)
        one, other = the_ca(files), the_ca(files, now=NOON + timedelta(hours=5))
        assert asyncio.run(one.sign(request())) == asyncio.run(other.sign(request()))


def test_whatever_differs_has_a_serial_of_its_own(files: CaFiles, tmp_path: Path) -> None:
    asked = request()
    leaves = [
        sign(the_ca(files), asked),
        sign(the_ca(files), replace(asked, job=JobId("a-certificate", 2))),
        sign(the_ca(files), replace(asked, job=JobId("a-certificate", 1, "other"))),
        sign(the_ca(files), replace(asked, csr_der=csr(*NAMES, key=RSA))),
        sign(the_ca(files), replace(asked, at=NOON + timedelta(days=1))),
        sign(the_ca(files), replace(asked, usages=frozenset({Usage.CLIENT}))),
        sign(the_ca(files, common_name=True), asked),
        sign(the_ca(files, validity_days=30), asked),
        sign(the_ca(a_ca(tmp_path, now=NOON)), asked),
    ]
    serials = {leaf.serial_number for leaf in leaves}
    assert len(serials) == len(leaves)
    assert all(serial.bit_length() <= 159 for serial in serials)
    # Each of nine has 64 bits or more but for one chance in 2**95.
    assert min(serial.bit_length() for serial in serials) >= 64


def test_a_leaf_says_what_it_is_and_whose(files: CaFiles) -> None:
    leaf = sign(
        the_ca(files, crl_url="http://pki.example.org/ca.crl", issuer_url="http://pki.example.org/ca.cer"), request()
    )
    of = leaf.extensions.get_extension_for_class
    assert not of(x509.BasicConstraints).value.ca
    assert of(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName) == list(NAMES)
    assert of(x509.SubjectAlternativeName).critical
    assert list(leaf.subject) == []
    assert (
        of(x509.AuthorityKeyIdentifier).value.key_identifier
        == files.signing.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    )
    assert of(x509.SubjectKeyIdentifier).value == x509.SubjectKeyIdentifier.from_public_key(KEY.public_key())
    (point,) = of(x509.CRLDistributionPoints).value
    assert point.full_name == [x509.UniformResourceIdentifier("http://pki.example.org/ca.crl")]
    (access,) = of(x509.AuthorityInformationAccess).value
    assert access.access_location.value == "http://pki.example.org/ca.cer"


def test_a_leaf_is_valid_a_little_earlier_and_never_longer_than_its_ca(files: CaFiles) -> None:
    leaf = sign(the_ca(files, validity_days=30), request())
    assert (leaf.not_valid_before_utc, leaf.not_valid_after_utc) == (
        NOON - timedelta(hours=1),
        NOON + timedelta(days=30),
    )
    capped = sign(the_ca(files, validity_days=800), request())
    assert capped.not_valid_after_utc == files.signing.not_valid_after_utc


def test_the_common_name_is_the_first_name_that_fits(files: CaFiles) -> None:
    long = f"{'a' * 60}.example.org"
    assert (
        sign(the_ca(files, common_name=True), request(long, "b.example.org")).subject.rfc4514_string()
        == "CN=b.example.org"
    )
    assert list(sign(the_ca(files, common_name=True), request(long)).subject) == []


@pytest.mark.parametrize(
    ("csr_der", "why"),
    [
        (csr("other.example.org"), "the CSR asks for other.example.org, the request for"),
        (csr(*NAMES, "more.example.org"), "the CSR asks for"),
        (csr(NAMES[0]), "the CSR asks for"),
        (csr(*NAMES, subject="other.example.org"), "the CSR asks for .*other"),
        (csr(*NAMES, others=(x509.RFC822Name("a@example.org"),)), "RFC822Name a@example.org"),
        (csr(*NAMES, key=ed25519.Ed25519PrivateKey.generate()), "key must be EC"),
        (csr(*NAMES, key=WEAK), "key must be EC"),
        (SIGNED[:-1] + bytes([SIGNED[-1] ^ 1]), "can't be read|isn't signed by the key"),
        (
            x509.CertificateSigningRequestBuilder(x509.Name([])).sign(KEY, SHA256()).public_bytes(Encoding.DER),
            "ExtensionNotFound",
        ),
        (b"no CSR", "can't be read"),
    ],
)
def test_a_csr_for_something_else_is_refused(files: CaFiles, csr_der: bytes, why: str) -> None:
    with pytest.raises(SigningRefusedError, match=why):
        asyncio.run(the_ca(files).sign(request(csr_der=csr_der)))


def test_names_outside_of_the_constraints_are_refused(tmp_path: Path) -> None:
    constraints = x509.NameConstraints([x509.DNSName("example.org")], [x509.DNSName("secret.example.org")])
    ca = the_ca(a_ca(tmp_path, now=NOON, constraints=constraints))
    sign(ca, request("example.org", "*.shop.example.org"))
    for name, why in (
        ("shop.example.com", "outside of what CN=a CA may certify: example.org"),
        ("notexample.org", "outside"),
        ("a.secret.example.org", "excludes secret.example.org"),
        ("*.example.org", "excludes secret.example.org"),
    ):
        with pytest.raises(SigningRefusedError, match=why):
            asyncio.run(ca.sign(request(name)))


def test_a_ca_that_has_ended_since_the_start_signs_nothing(files: CaFiles) -> None:
    clock = [NOON]
    ca = FilesCa.read(FilesCaSettings.model_validate(files.settings()), clock=lambda: clock[0])
    clock[0] = NOON + timedelta(days=400)
    with pytest.raises(SigningRefusedError, match="its own certificate ends at 2027-"):
        asyncio.run(ca.sign(request(at=clock[0])))


def test_nothing_that_is_shown_holds_the_key(files: CaFiles) -> None:
    ca = the_ca(files)
    line = files.key_file.read_text().splitlines()[1]
    assert line not in repr(vars(ca))
    assert line not in asyncio.run(ca.sign(request()))

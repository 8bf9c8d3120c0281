"""The CRL of a CA by files, as whoever checks a certificate reads it."""

import asyncio
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from certcore.inspection import read_chain
from issuer.cas.files.files_ca import FilesCa
from issuer.domain.crl import CrlCa, ListedLeaf, publishing
from issuer.domain.errors import CaUnfitError, CrlUnwritableError
from issuer.domain.revoked import Revocation, RevocationReason
from tests.authority import Authority
from tests.private_ca import CaFiles, Key, a_ca
from tests.unit.issuer.cas.files.test_files_ca import request, the_ca
from tests.unit.issuer.samples import NOON

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def listed(serial: int, reason: RevocationReason = RevocationReason.SUPERSEDED) -> ListedLeaf:
    return ListedLeaf(serial, Revocation(NOON - HOUR, reason), NOON + 30 * DAY)


def publish(ca: FilesCa, *leaves: ListedLeaf, number: int = 1, now: datetime = NOON) -> None:
    asyncio.run(ca.publish_crl(leaves, number=number, now=now))


def crl_at(path: Path) -> x509.CertificateRevocationList:
    return x509.load_der_x509_crl(path.read_bytes())


@pytest.fixture
def files(tmp_path: Path) -> CaFiles:
    return a_ca(tmp_path / "ca", now=NOON)


@pytest.mark.parametrize("key", [None, RSA, ec.generate_private_key(ec.SECP384R1())], ids=["p256", "rsa", "p384"])
def test_a_crl_is_signed_by_the_ca_and_says_what_a_crl_must(tmp_path: Path, key: Key | None) -> None:
    files = a_ca(tmp_path / "ca", key=key, now=NOON)
    path = tmp_path / "ca.crl"
    publish(the_ca(files, crl_file=str(path), crl_hours=48), listed(5), number=12)
    crl = crl_at(path)
    public_key = files.signing.public_key()
    assert isinstance(public_key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey)
    assert crl.is_signature_valid(public_key)
    assert crl.issuer == files.signing.subject
    assert (crl.last_update_utc, crl.next_update_utc) == (NOON - HOUR, NOON + 2 * DAY)
    assert crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == 12
    authority = crl.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    own = files.signing.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    assert authority.key_identifier == own.digest


def test_each_entry_has_its_time_and_its_reason_and_unspecified_has_none(files: CaFiles, tmp_path: Path) -> None:
    path = tmp_path / "ca.crl"
    publish(the_ca(files, crl_file=str(path)), *(listed(n, reason) for n, reason in enumerate(RevocationReason, 1)))
    reasons = {}
    for entry in crl_at(path):
        assert entry.revocation_date_utc == NOON - HOUR
        found = [extension.value for extension in entry.extensions]
        reasons[entry.serial_number] = [value.reason.value for value in found if isinstance(value, x509.CRLReason)]
    assert reasons == {
        1: [],
        2: ["keyCompromise"],
        3: ["affiliationChanged"],
        4: ["superseded"],
        5: ["cessationOfOperation"],
    }


def test_what_was_published_is_read_again(files: CaFiles, tmp_path: Path) -> None:
    ca = the_ca(files, crl_file=str(tmp_path / "ca.crl"), crl_hours=24)
    assert asyncio.run(ca.published_crl()) is None
    publish(ca, listed(3), listed(2**158 + 1), number=4)
    published = asyncio.run(ca.published_crl())
    assert published is not None
    assert (published.number, published.serials) == (4, frozenset({3, 2**158 + 1}))
    assert (published.this_update, published.next_update) == (NOON - HOUR, NOON + DAY)


@pytest.mark.parametrize("content", [b"", b"no CRL", b"-----BEGIN X509 CRL-----\n"])
def test_what_is_no_crl_counts_as_none(files: CaFiles, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "ca.crl"
    path.write_bytes(content)
    assert asyncio.run(the_ca(files, crl_file=str(path)).published_crl()) is None


def test_the_crl_of_another_ca_counts_as_none(files: CaFiles, tmp_path: Path) -> None:
    path = tmp_path / "ca.crl"
    publish(the_ca(a_ca(tmp_path / "other", now=NOON), crl_file=str(path)), listed(3))
    assert asyncio.run(the_ca(files, crl_file=str(path)).published_crl()) is None


def test_the_file_is_replaced_as_a_whole_and_everybody_may_read_it(files: CaFiles, tmp_path: Path) -> None:
    folder = tmp_path / "www"
    folder.mkdir()
    path = folder / "ca.crl"
    ca = the_ca(files, crl_file=str(path))
    publish(ca, listed(1))
    with path.open("rb") as old:
        publish(ca, listed(1), listed(2), number=2)
        assert len(list(x509.load_der_x509_crl(old.read()))) == 1
    assert len(list(crl_at(path))) == 2
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(folder.iterdir()) == [path]


def test_a_file_that_cannot_be_written_is_told_with_its_setting(files: CaFiles, tmp_path: Path) -> None:
    ca = the_ca(files, crl_file=str(tmp_path / "nowhere" / "ca.crl"))
    with pytest.raises(CrlUnwritableError, match=r"CRL of own: crl_file .*nowhere/ca.crl can't be written: No such"):
        publish(ca)


def test_without_its_setting_a_ca_says_which_one_is_missing(files: CaFiles, tmp_path: Path) -> None:
    without, with_it = the_ca(files), the_ca(files, crl_file=str(tmp_path / "ca.crl"))
    assert without.crl_hindrance == "crl_file isn't set, the file that its CRL is written to"
    assert with_it.crl_hindrance is None
    assert isinstance(without, CrlCa)
    assert publishing({"without": without, "with": with_it}) == {"with": with_it}


def test_a_ca_that_may_not_sign_crls_does_not_start_with_a_file_for_one(tmp_path: Path) -> None:
    files = a_ca(tmp_path / "ca", now=NOON, may_sign_crls=False)
    assert the_ca(files).crl_hindrance is not None
    with pytest.raises(CaUnfitError, match=r"crl_file: the CA's certificate may not sign CRLs"):
        the_ca(files, crl_file=str(tmp_path / "ca.crl"))


def test_a_ca_knows_what_it_signed(files: CaFiles) -> None:
    ca = the_ca(files)
    own = read_chain(asyncio.run(ca.sign(request())).encode())[0]
    foreign = read_chain(Authority().issue("shop.example.org").chain_pem.encode())[0]
    assert (ca.signed(own), ca.signed(foreign)) == (True, False)

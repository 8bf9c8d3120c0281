import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_der_x509_csr

from certcore.certificate import KeyAlgorithm
from certcore.errors import SealingError
from certcore.events import Recipient
from certcore.inspection import read_csr, spki_sha256
from certcore.placements import PLATFORM
from certcore.sealing import RecipientKey, SealContext, open_sealed
from issuer.domain.errors import UnsupportedIssueOrderError
from issuer.domain.key_material import ESCROW, make_key_material
from tests.unit.issuer.samples import order

SITE = RecipientKey("site1-syncer", X25519PrivateKey.generate())
ESCROW_KEY = RecipientKey(ESCROW, X25519PrivateKey.generate())
TO_SITE = (Recipient(name=SITE.name, public_key=SITE.public_key),)


@pytest.mark.parametrize("algorithm", KeyAlgorithm)
def test_every_recipient_and_escrow_can_open_the_key_of_the_request(algorithm: KeyAlgorithm) -> None:
    asked = order("shop.example.org", "*.shop.example.org", recipients=TO_SITE, key_algorithm=algorithm)
    material = make_key_material(asked, escrow_public_key=ESCROW_KEY.public_key)
    assert read_csr(material.csr_der).dns_names == asked.dns_names
    for recipient, sealed in zip((SITE, ESCROW_KEY), material.sealed, strict=True):
        assert sealed.key_id == recipient.key_id
        context = SealContext(recipient.name, asked.certificate_id, asked.revision, asked.variant)
        pem = open_sealed(sealed.raw(), key=recipient, context=context, sealed_to=sealed.key_id)
        key = load_pem_private_key(pem, password=None)
        assert spki_sha256(key.public_key()) == material.spki_sha256


def test_a_ca_that_wants_a_common_name_gets_the_first_name_that_fits() -> None:
    long = f"{'a' * 60}.example.org"

    def subject(*names: str, common_name: bool) -> str:
        escrow = ESCROW_KEY.public_key
        material = make_key_material(order(*names), escrow_public_key=escrow, common_name=common_name)
        return load_der_x509_csr(material.csr_der).subject.rfc4514_string()

    assert subject("a.example.org", "b.example.org", common_name=True) == "CN=a.example.org"
    assert subject(long, "b.example.org", common_name=True) == "CN=b.example.org"
    assert subject(long, common_name=True) == ""
    assert subject("a.example.org", common_name=False) == ""
    assert len(f"{'a' * 52}.example.org") == 64
    assert subject(f"{'a' * 52}.example.org", common_name=True) != ""


def test_the_escrow_copy_does_not_leave_the_issuer() -> None:
    material = make_key_material(order(recipients=TO_SITE), escrow_public_key=ESCROW_KEY.public_key)
    assert [key.recipient for key in material.for_recipients()] == [SITE.name]


def test_what_is_stored_shows_no_key() -> None:
    material = make_key_material(order(recipients=TO_SITE), escrow_public_key=ESCROW_KEY.public_key)
    context = SealContext(SITE.name, "a-certificate", 1, PLATFORM)
    pem = open_sealed(material.sealed[0].raw(), key=SITE, context=context, sealed_to=SITE.key_id)
    assert b"PRIVATE KEY" in pem
    line = pem.splitlines()[1]
    assert line.decode() not in repr(material)
    assert base64.b64decode(line) not in material.csr_der


def test_a_key_opens_for_its_own_variant_only() -> None:
    asked = order(recipients=TO_SITE, variant="platform-rsa")
    sealed = make_key_material(asked, escrow_public_key=ESCROW_KEY.public_key).sealed[0]
    own, other = (SealContext(SITE.name, "a-certificate", 1, variant) for variant in ("platform-rsa", PLATFORM))
    assert open_sealed(sealed.raw(), key=SITE, context=own, sealed_to=sealed.key_id)
    with pytest.raises(SealingError):
        open_sealed(sealed.raw(), key=SITE, context=other, sealed_to=sealed.key_id)


def test_an_unknown_key_algorithm_is_an_error() -> None:
    with pytest.raises(UnsupportedIssueOrderError, match="'ml-dsa-65'"):
        make_key_material(order(key_algorithm="ml-dsa-65"), escrow_public_key=ESCROW_KEY.public_key)


def test_two_jobs_never_share_a_key() -> None:
    first, second = (
        make_key_material(order(recipients=TO_SITE), escrow_public_key=ESCROW_KEY.public_key) for _ in range(2)
    )
    assert first.spki_sha256 != second.spki_sha256


def test_a_recipient_without_a_usable_key_is_an_error() -> None:
    broken = (Recipient(name="site2-syncer", public_key="bm90IGEga2V5"),)
    with pytest.raises(SealingError):
        make_key_material(order(recipients=broken), escrow_public_key=ESCROW_KEY.public_key)


def test_without_an_escrow_the_key_is_sealed_to_the_recipients_alone() -> None:
    material = make_key_material(order(recipients=TO_SITE), escrow_public_key=None)
    assert [key.recipient for key in material.sealed] == [recipient.name for recipient in TO_SITE]

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from certcore.certificate import KeyAlgorithm
from certcore.errors import SealingError
from certcore.events import Recipient
from certcore.inspection import read_csr_names, spki_sha256
from certcore.sealing import RecipientKey, SealContext, open_sealed
from issuer.domain.key_material import ESCROW, make_key_material
from tests.unit.issuer.samples import order

SITE = RecipientKey("site1-syncer", X25519PrivateKey.generate())
ESCROW_KEY = RecipientKey(ESCROW, X25519PrivateKey.generate())
TO_SITE = (Recipient(name=SITE.name, public_key=SITE.public_key),)


@pytest.mark.parametrize("algorithm", KeyAlgorithm)
def test_every_recipient_and_escrow_can_open_the_key_of_the_request(algorithm: KeyAlgorithm) -> None:
    asked = order("shop.example.org", "*.shop.example.org", recipients=TO_SITE, key_algorithm=algorithm)
    material = make_key_material(asked, escrow_public_key=ESCROW_KEY.public_key)
    assert read_csr_names(material.csr_der) == asked.dns_names
    for recipient, sealed in zip((SITE, ESCROW_KEY), material.sealed, strict=True):
        context = SealContext(recipient.name, asked.certificate_id, asked.revision)
        key = load_pem_private_key(open_sealed(sealed.raw(), key=recipient, context=context), password=None)
        assert spki_sha256(key.public_key()) == material.spki_sha256


def test_the_escrow_copy_does_not_leave_the_issuer() -> None:
    material = make_key_material(order(recipients=TO_SITE), escrow_public_key=ESCROW_KEY.public_key)
    assert [key.recipient for key in material.for_recipients()] == [SITE.name]


def test_what_is_stored_shows_no_key() -> None:
    material = make_key_material(order(recipients=TO_SITE), escrow_public_key=ESCROW_KEY.public_key)
    context = SealContext(SITE.name, "a-certificate", 1)
    pem = open_sealed(material.sealed[0].raw(), key=SITE, context=context)
    assert b"PRIVATE KEY" in pem
    line = pem.splitlines()[1]
    assert line.decode() not in repr(material)
    assert base64.b64decode(line) not in material.csr_der


def test_two_jobs_never_share_a_key() -> None:
    first, second = (
        make_key_material(order(recipients=TO_SITE), escrow_public_key=ESCROW_KEY.public_key) for _ in range(2)
    )
    assert first.spki_sha256 != second.spki_sha256


def test_a_recipient_without_a_usable_key_is_an_error() -> None:
    broken = (Recipient(name="site2-syncer", public_key="bm90IGEga2V5"),)
    with pytest.raises(SealingError):
        make_key_material(order(recipients=broken), escrow_public_key=ESCROW_KEY.public_key)

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from certcore.bundles import SealedBundle, SealedKey, digest
from certcore.errors import InspectionError, SealingError
from certcore.placements import PLATFORM
from certcore.sealing import RecipientKey, SealContext, generate_recipient_key, seal
from tests.authority import Authority

AUTHORITY = Authority()
ISSUED = AUTHORITY.issue("www.example.test")
OTHER = AUTHORITY.issue("www.example.test")


@pytest.fixture
def recipient(tmp_path: Path) -> RecipientKey:
    return generate_recipient_key("site1-syncer", tmp_path / "site1.key")


def sealed_to(recipient: RecipientKey, *, key_pem: str = ISSUED.key_pem, variant: str = PLATFORM) -> SealedKey:
    context = SealContext(recipient.name, "c-1", 3, variant)
    sealed = seal(key_pem.encode(), public_key=recipient.public_key, context=context)
    return SealedKey.of(recipient.name, sealed, recipient.key_id)


def bundle(key: SealedKey | None, *, variant: str = PLATFORM, chain_pem: str = ISSUED.chain_pem) -> SealedBundle:
    return SealedBundle(certificate_id="c-1", revision=3, chain_pem=chain_pem, key=key, variant=variant)


def test_a_bundle_is_opened_and_checked_by_its_recipient(recipient: RecipientKey) -> None:
    opened = bundle(sealed_to(recipient)).open(recipient)
    assert opened.key_pem == ISSUED.key_pem.encode()
    assert (opened.leaf.serial, opened.revision, opened.variant) == (ISSUED.serial, 3, PLATFORM)
    assert "PRIVATE" not in repr(opened)


def test_a_bundle_as_it_was_served_before_there_were_variants_is_opened(recipient: RecipientKey) -> None:
    suite = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
    info = b"certbus/v1|site1-syncer|c-1|3"
    sealed = suite.encrypt(ISSUED.key_pem.encode(), recipient.private_key.public_key(), info=info)
    before = bundle(SealedKey.of(recipient.name, sealed, None)).model_dump(
        exclude={"variant": True, "key": {"key_id"}}
    )
    assert SealedBundle.model_validate(before).open(recipient).key_pem == ISSUED.key_pem.encode()


def test_a_bundle_of_a_target_that_made_its_own_key_has_none(recipient: RecipientKey) -> None:
    opened = bundle(None, variant="cdn").open(recipient)
    assert (opened.key_pem, opened.variant, opened.leaf.serial) == (None, "cdn", ISSUED.serial)


def test_a_key_of_one_variant_is_not_opened_as_another_s(recipient: RecipientKey) -> None:
    with pytest.raises(SealingError, match="can't be opened"):
        bundle(sealed_to(recipient), variant="platform-rsa").open(recipient)


def test_a_key_that_is_sealed_to_a_replaced_one_says_so(recipient: RecipientKey, tmp_path: Path) -> None:
    new = generate_recipient_key("site1-syncer", tmp_path / "new.key")
    with pytest.raises(SealingError, match="it must be sealed again"):
        bundle(sealed_to(recipient)).open(new)


def test_a_key_that_does_not_fit_the_leaf_is_refused(recipient: RecipientKey) -> None:
    with pytest.raises(InspectionError, match="doesn't fit"):
        bundle(sealed_to(recipient, key_pem=OTHER.key_pem)).open(recipient)


def test_a_sealed_key_that_is_no_base64_is_refused(recipient: RecipientKey) -> None:
    crooked = SealedKey(recipient=recipient.name, sealed="no base64!", key_id=recipient.key_id)
    with pytest.raises(InspectionError, match="is not base64"):
        bundle(crooked).open(recipient)


def test_a_digest_tells_chains_recipients_and_keys_apart() -> None:
    key = SealedKey(recipient="a", sealed="AAAA", key_id="1" * 16)
    others = [SealedKey(recipient="b", sealed="AAAA"), SealedKey(recipient="a", sealed="AAAB"), None]
    assert len({digest("chain", key), *(digest("chain", other) for other in others), digest("other", key)}) == 5
    assert bundle(None, chain_pem="chain").sha256() == digest("chain", None)


def test_a_digest_is_the_same_as_before_keys_had_ids() -> None:
    with_id = SealedKey(recipient="a", sealed="AAAA", key_id="1" * 16)
    assert digest("chain", with_id) == digest("chain", with_id.model_copy(update={"key_id": None}))

import stat
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from hypothesis import given
from hypothesis import strategies as st

from certcore.errors import SealingError
from certcore.sealing import RecipientKey, SealContext, generate_recipient_key, key_id, open_sealed, seal

_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_KEY = b"-----BEGIN PRIVATE KEY-----\nnot really\n-----END PRIVATE KEY-----\n"
_CONTEXT = SealContext("site1-syncer", "certificate-1", 3, "platform")


@pytest.fixture
def recipient(tmp_path: Path) -> RecipientKey:
    return generate_recipient_key("site1-syncer", tmp_path / "keys" / "site1.key")


def test_the_recipient_opens_what_was_sealed_to_it(recipient: RecipientKey) -> None:
    sealed = seal(_KEY, public_key=recipient.public_key, context=_CONTEXT)
    assert open_sealed(sealed, key=recipient, context=_CONTEXT, sealed_to=recipient.key_id) == _KEY
    assert _KEY not in sealed


def test_another_recipient_opens_nothing(recipient: RecipientKey, tmp_path: Path) -> None:
    other = generate_recipient_key("site1-syncer", tmp_path / "other.key")
    sealed = seal(_KEY, public_key=recipient.public_key, context=_CONTEXT)
    for sealed_to in (other.key_id, None):
        with pytest.raises(SealingError):
            open_sealed(sealed, key=other, context=_CONTEXT, sealed_to=sealed_to)


@pytest.mark.parametrize(
    "other",
    [
        replace(_CONTEXT, recipient="site2-syncer"),
        replace(_CONTEXT, certificate_id="another"),
        replace(_CONTEXT, revision=4),
        replace(_CONTEXT, variant="cdn"),
    ],
)
def test_a_sealed_key_can_not_be_replayed_for_something_else(recipient: RecipientKey, other: SealContext) -> None:
    sealed = seal(_KEY, public_key=recipient.public_key, context=_CONTEXT)
    with pytest.raises(SealingError):
        open_sealed(sealed, key=recipient, context=other, sealed_to=recipient.key_id)


@given(st.binary(max_size=300))
def test_garbage_is_a_sealing_error(garbage: bytes) -> None:
    key = RecipientKey("any", X25519PrivateKey.generate())
    for sealed_to in (key.key_id, None):
        with pytest.raises(SealingError):
            open_sealed(garbage, key=key, context=_CONTEXT, sealed_to=sealed_to)


def test_a_key_that_was_sealed_before_there_were_variants_is_opened(recipient: RecipientKey) -> None:
    info = b"certbus/v1|site1-syncer|certificate-1|3"
    sealed = _SUITE.encrypt(_KEY, recipient.private_key.public_key(), info=info)
    assert open_sealed(sealed, key=recipient, context=_CONTEXT, sealed_to=None) == _KEY
    with pytest.raises(SealingError):
        open_sealed(sealed, key=recipient, context=_CONTEXT, sealed_to=recipient.key_id)
    with pytest.raises(SealingError):
        open_sealed(sealed, key=recipient, context=replace(_CONTEXT, revision=4), sealed_to=None)


def test_what_is_sealed_now_is_not_opened_as_it_was_before_there_were_variants(recipient: RecipientKey) -> None:
    sealed = seal(_KEY, public_key=recipient.public_key, context=_CONTEXT)
    with pytest.raises(SealingError):
        open_sealed(sealed, key=recipient, context=_CONTEXT, sealed_to=None)


def test_what_is_sealed_to_a_key_that_was_replaced_says_that_it_must_be_sealed_again(
    recipient: RecipientKey, tmp_path: Path
) -> None:
    new = generate_recipient_key("site1-syncer", tmp_path / "new.key")
    sealed = seal(_KEY, public_key=recipient.public_key, context=_CONTEXT)
    with pytest.raises(SealingError) as caught:
        open_sealed(sealed, key=new, context=_CONTEXT, sealed_to=recipient.key_id)
    message = str(caught.value)
    assert recipient.key_id in message
    assert new.key_id in message
    assert message.endswith("it must be sealed again")


def test_a_key_s_id_is_of_its_public_half_alone(recipient: RecipientKey) -> None:
    assert recipient.key_id == key_id(recipient.public_key)
    assert len(recipient.key_id) == 16
    assert replace(recipient, name="another").key_id == recipient.key_id


def test_a_key_file_is_private_and_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "site1.key"
    first = generate_recipient_key("a", path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert generate_recipient_key("a", path).public_key == first.public_key


def test_a_key_is_not_shown_by_its_repr(recipient: RecipientKey) -> None:
    assert "private" not in repr(recipient)


def test_a_file_that_is_no_key_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "short.key"
    path.write_bytes(b"short")
    with pytest.raises(SealingError, match=r"short\.key"):
        RecipientKey.load("a", path)


@pytest.mark.parametrize("public_key", ["", "not base64 !", "QUJD"])
def test_a_public_key_that_is_none_is_refused(public_key: str) -> None:
    with pytest.raises(SealingError):
        seal(_KEY, public_key=public_key, context=_CONTEXT)

import stat
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from certcore.errors import SealingError
from certcore.sealing import RecipientKey, SealContext, generate_recipient_key, open_sealed, seal

_KEY = b"-----BEGIN PRIVATE KEY-----\nnot really\n-----END PRIVATE KEY-----\n"
_CONTEXT = SealContext("site1-syncer", "certificate-1", 3)


@pytest.fixture
def recipient(tmp_path: Path) -> RecipientKey:
    return generate_recipient_key("site1-syncer", tmp_path / "keys" / "site1.key")


def test_the_recipient_opens_what_was_sealed_to_it(recipient: RecipientKey) -> None:
    sealed = seal(_KEY, public_key=recipient.public_key, context=_CONTEXT)
    assert open_sealed(sealed, key=recipient, context=_CONTEXT) == _KEY
    assert _KEY not in sealed


def test_another_recipient_opens_nothing(recipient: RecipientKey, tmp_path: Path) -> None:
    other = generate_recipient_key("site1-syncer", tmp_path / "other.key")
    sealed = seal(_KEY, public_key=recipient.public_key, context=_CONTEXT)
    with pytest.raises(SealingError):
        open_sealed(sealed, key=other, context=_CONTEXT)


@pytest.mark.parametrize(
    "other",
    [
        replace(_CONTEXT, recipient="site2-syncer"),
        replace(_CONTEXT, certificate_id="another"),
        replace(_CONTEXT, revision=4),
    ],
)
def test_a_sealed_key_can_not_be_replayed_for_something_else(recipient: RecipientKey, other: SealContext) -> None:
    sealed = seal(_KEY, public_key=recipient.public_key, context=_CONTEXT)
    with pytest.raises(SealingError):
        open_sealed(sealed, key=recipient, context=other)


@given(st.binary(max_size=300))
def test_garbage_is_a_sealing_error(garbage: bytes) -> None:
    key = RecipientKey("any", X25519PrivateKey.generate())
    with pytest.raises(SealingError):
        open_sealed(garbage, key=key, context=_CONTEXT)


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

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdn_pusher.domain.pem import normal_pem, read_pem
from certcore.errors import InspectionError
from tests.authority import Authority

AUTHORITY = Authority()
ISSUED = AUTHORITY.issue("shop.example.org")
NORMAL = (ISSUED.chain_pem + ISSUED.key_pem).encode()


def test_the_order_is_leaf_chain_key() -> None:
    pem = normal_pem(ISSUED.chain_pem.encode(), ISSUED.key_pem.encode())
    assert pem.content == NORMAL
    assert pem.leaf.fingerprint_sha256 == ISSUED.fingerprint
    assert len(pem.presented) == 2


@pytest.mark.parametrize(
    "messy",
    [
        NORMAL.replace(b"\n", b"\r\n"),
        NORMAL.replace(b"-----BEGIN", b"\n\n-----BEGIN"),
        NORMAL.replace(b"-----\n-----BEGIN", b"-----\n# a comment\nsubject=/CN=x\n\n-----BEGIN"),
        ISSUED.key_pem.encode() + b"\n" + ISSUED.chain_pem.encode(),
        b"\xef\xbb\xbf" + NORMAL + b"\n\n\n",
        NORMAL.removesuffix(b"\n"),
    ],
    ids=["crlf", "blank lines", "comments", "key first", "byte order mark", "no last line break"],
)
def test_whatever_form_it_comes_in_the_chain_is_kept(messy: bytes) -> None:
    assert normal_pem(messy, messy).content == NORMAL
    assert read_pem(messy).content == NORMAL


@given(st.integers(0, len(NORMAL)))
def test_no_blank_line_is_ever_left(at: int) -> None:
    messy = NORMAL[:at] + b"\n\n" + NORMAL[at:]
    try:
        content = normal_pem(messy, messy).content
    except InspectionError:
        return
    assert b"\n\n" not in content
    assert b"\r" not in content
    assert content == NORMAL


def test_another_key_is_refused() -> None:
    other = AUTHORITY.issue("shop.example.org")
    with pytest.raises(InspectionError, match="doesn't fit"):
        normal_pem(ISSUED.chain_pem.encode(), other.key_pem.encode())


def test_a_chain_without_a_key_is_refused() -> None:
    with pytest.raises(InspectionError, match="no private key"):
        read_pem(ISSUED.chain_pem.encode())


def test_the_key_is_never_shown() -> None:
    assert "PRIVATE" not in repr(read_pem(NORMAL))

import base64
from contextlib import suppress

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import example, given
from hypothesis import strategies as st

from certcore.errors import InspectionError
from certcore.inspection import check_pair, read_certificate, read_chain
from tests.authority import Authority, key_pem

_AUTHORITY = Authority()
_ISSUED = _AUTHORITY.issue("www.example.test", "example.test")
_FIXED = base64.b64decode(
    """
MIIBdzCCARygAwIBAgIQLxHd1nZVS1T3nI17XpF5DjAKBggqhkjOPQQDAjAiMSAw
HgYDVQQDDBdjZXJ0YnVzIHRlc3QgaXNzdWluZyBDQTAeFw0yNjAxMDEwMDAwMDBa
Fw0yNjAzMDEwMDAwMDBaMBsxGTAXBgNVBAMMEHd3dy5leGFtcGxlLnRlc3QwWTAT
BgcqhkjOPQIBBggqhkjOPQMBBwNCAAQuBLsCUUgTpKhB+VnZnXILYb4U+Dq5s9V3
k7SyDDx1ZYlG9XWcZSEw+/xih5gDlP2CK4aTHlJJbxVyWqW/7YOnozswOTAMBgNV
HRMBAf8EAjAAMCkGA1UdEQQiMCCCEHd3dy5leGFtcGxlLnRlc3SCDGV4YW1wbGUu
dGVzdDAKBggqhkjOPQQDAgNJADBGAiEA8xxiKV7+ifCmIwZP+Aqy8KfKDvAtNDwk
9iaYPDS141kCIQCDeY8jU1BieDvGqIOCZL+NroA2SqqxHwS9xhCvwruVUw==
"""
)
"""The same bytes in every run: which byte of it was flipped tells enough to do that again."""
_SERIAL_AT = 15


def test_a_chain_is_read_leaf_first() -> None:
    chain = read_chain(_ISSUED.chain_pem.encode())
    assert chain[0].dns_names == ("www.example.test", "example.test")
    assert chain[0].fingerprint_sha256 == _ISSUED.fingerprint
    assert chain[0].serial == _ISSUED.serial
    assert chain[0].not_before < chain[0].not_after
    assert chain[0].not_after.tzinfo is not None


def test_blank_lines_and_carriage_returns_lose_nothing() -> None:
    crooked = _ISSUED.chain_pem.replace("\n", "\r\n").replace("-----END", "\r\n-----END") + "\r\n\r\n"
    assert read_chain(crooked.encode()) == read_chain(_ISSUED.chain_pem.encode())


def test_a_chain_in_the_wrong_order_is_refused() -> None:
    certificates = [
        part + "-----END CERTIFICATE-----\n" for part in _ISSUED.chain_pem.split("-----END CERTIFICATE-----\n")
    ]
    backwards = "".join(reversed([part for part in certificates if "BEGIN" in part]))
    with pytest.raises(InspectionError, match="hang together"):
        read_chain(backwards.encode())


def test_a_strange_key_does_not_fit() -> None:
    chain = read_chain(_ISSUED.chain_pem.encode())
    check_pair(chain, _ISSUED.key_pem.encode())
    with pytest.raises(InspectionError, match="doesn't fit"):
        check_pair(chain, key_pem(ec.generate_private_key(ec.SECP256R1())).encode())


def test_an_error_never_quotes_what_it_could_not_read() -> None:
    chain = read_chain(_ISSUED.chain_pem.encode())
    broken = _ISSUED.key_pem.replace("A", "!")
    with pytest.raises(InspectionError) as caught:
        check_pair(chain, broken.encode())
    assert broken.splitlines()[1] not in str(caught.value)


@given(st.binary(max_size=400))
def test_garbage_is_an_inspection_error(garbage: bytes) -> None:
    for read in (read_certificate, read_chain):
        with pytest.raises(InspectionError):
            read(garbage)


# A serial number that isn't positive: the library takes it with a warning today, and will refuse it.
@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
@given(st.integers(0, len(_FIXED) - 1), st.integers(1, 255))
@example(_SERIAL_AT, 0x80)
def test_a_flipped_byte_is_read_or_refused_but_never_crashes(position: int, flip: int) -> None:
    der = bytearray(_FIXED)
    der[position] ^= flip
    with suppress(InspectionError):
        read_certificate(bytes(der))


def test_a_certificate_with_a_broken_border_is_not_passed_over() -> None:
    broken = _ISSUED.chain_pem.replace("-----END CERTIFICATE-----", "----END CERTIFICATE-----", 1)
    with pytest.raises(InspectionError, match="broken"):
        read_chain(broken.encode())

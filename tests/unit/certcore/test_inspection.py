from contextlib import suppress
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from certcore.certificate import KeyAlgorithm
from certcore.errors import InspectionError
from certcore.inspection import check_pair, read_certificate, read_chain, read_csr, spki_sha256
from tests.authority import Authority, key_pem
from tests.signing_requests import csr_pem, with_wrong_signature

_AUTHORITY = Authority()
_ISSUED = _AUTHORITY.issue("www.example.test", "example.test")


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
    for read in (read_certificate, read_chain, read_csr):
        with pytest.raises(InspectionError):
            read(garbage)


@given(st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_a_flipped_byte_is_read_or_refused_but_never_crashes(position: int, flip: int) -> None:
    der = bytearray(read_chain(_ISSUED.chain_pem.encode())[0].der)
    der[position % len(der)] ^= flip
    with suppress(InspectionError):
        read_certificate(bytes(der))


def test_a_certificate_with_a_broken_border_is_not_passed_over() -> None:
    broken = _ISSUED.chain_pem.replace("-----END CERTIFICATE-----", "----END CERTIFICATE-----", 1)
    with pytest.raises(InspectionError, match="broken"):
        read_chain(broken.encode())


_KEY = ec.generate_private_key(ec.SECP256R1())
_CSR = csr_pem("WWW.Example.test", "*.example.test", key=_KEY)


def test_a_signing_request_is_read_in_pem_and_in_der() -> None:
    der = x509.load_pem_x509_csr(_CSR.encode()).public_bytes(Encoding.DER)
    found = read_csr(_CSR.encode())
    assert found == read_csr(der) == read_csr(b"\n " + _CSR.encode())
    assert found.dns_names == ("www.example.test", "*.example.test")
    assert (found.key_algorithm, found.spki_sha256) == (KeyAlgorithm.EC_P256, spki_sha256(_KEY.public_key()))


@pytest.mark.parametrize(
    ("pem", "word"),
    [
        (csr_pem(), "asks for no DNS name"),
        (csr_pem(others=[x509.IPAddress(ip_address("192.0.2.1"))]), "asks for no DNS name"),
        (csr_pem("a.example.test", others=[x509.IPAddress(ip_address("192.0.2.1"))]), "other names than DNS names"),
        (csr_pem("a.example.test", others=[x509.RFC822Name("a@example.test")]), "other names than DNS names"),
        (with_wrong_signature(csr_pem("a.example.test")), "wrong signature"),
        (_ISSUED.leaf_pem, "can't be read"),
        ("-----BEGIN CERTIFICATE REQUEST-----", "can't be read"),
    ],
)
def test_a_signing_request_that_must_not_be_signed_is_refused(pem: str, word: str) -> None:
    with pytest.raises(InspectionError, match=word):
        read_csr(pem.encode())


def test_a_kind_of_key_that_nobody_asks_for_has_no_name() -> None:
    unusual = ec.generate_private_key(ec.SECP521R1())
    assert read_csr(csr_pem("a.example.test", key=unusual).encode()).key_algorithm is None


@given(st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_a_flipped_byte_of_a_signing_request_is_refused(position: int, flip: int) -> None:
    der = bytearray(x509.load_pem_x509_csr(_CSR.encode()).public_bytes(Encoding.DER))
    der[position % len(der)] ^= flip
    with pytest.raises(InspectionError):
        read_csr(bytes(der))

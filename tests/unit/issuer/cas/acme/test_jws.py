"""What is signed here, read by the library that other ACME clients sign with."""

import json

import pytest
from acme import jws as acme_jws
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from josepy.jwk import JWK, JWKEC, JWKRSA

from certcore.errors import PermanentError
from issuer.cas.acme.jws import PrivateKey, SigningKey

URL = "https://ca.test/order/1"
KEYS: list[PrivateKey] = [
    ec.generate_private_key(ec.SECP256R1()),
    ec.generate_private_key(ec.SECP384R1()),
    ec.generate_private_key(ec.SECP521R1()),
    rsa.generate_private_key(65537, 2048),
]


def as_josepy(key: PrivateKey) -> JWK:
    return JWKRSA(key=key) if isinstance(key, rsa.RSAPrivateKey) else JWKEC(key=key)


@pytest.mark.parametrize("private_key", KEYS)
@pytest.mark.parametrize("account", ["https://ca.test/account/1", None])
@pytest.mark.parametrize("payload", [b'{"csr": "x"}', b"{}", b""])
def test_josepy_verifies_what_is_signed(private_key: PrivateKey, account: str | None, payload: bytes) -> None:
    signed = SigningKey(private_key).sign(payload, url=URL, nonce="bm9uY2U", account=account)
    read = acme_jws.JWS.json_loads(signed.decode())
    assert read.verify(as_josepy(private_key).public_key())
    assert read.payload == payload
    head = read.signature.combined
    assert (head.url, head.kid) == (URL, account)
    assert (head.jwk is None) == (account is not None)
    if head.jwk is not None:
        assert head.jwk.thumbprint() == as_josepy(private_key).thumbprint()


def test_nothing_but_what_the_rfc_allows_stands_in_the_head() -> None:
    signed = json.loads(SigningKey(KEYS[0]).sign(b"", url=URL, nonce="bm9uY2U", account="a"))
    assert set(signed) == {"protected", "payload", "signature"}
    assert signed["payload"] == ""


def test_a_changed_payload_is_seen() -> None:
    signed = json.loads(SigningKey(KEYS[0]).sign(b"{}", url=URL, nonce="bm9uY2U", account="a"))
    signed["payload"] = "e30x"
    assert not acme_jws.JWS.json_loads(json.dumps(signed)).verify(as_josepy(KEYS[0]).public_key())


def test_numbers_with_leading_zeros_keep_their_length() -> None:
    key = SigningKey(KEYS[0])
    signatures = [json.loads(key.sign(b"", url=URL, nonce="n", account="a"))["signature"] for _ in range(600)]
    # 64 bytes each: of 600, four or five have a number that begins with a zero byte.
    assert {len(signature) for signature in signatures} == {86}


def test_a_curve_that_no_ca_knows_is_refused() -> None:
    with pytest.raises(PermanentError, match="secp256k1"):
        SigningKey(ec.generate_private_key(ec.SECP256K1()))

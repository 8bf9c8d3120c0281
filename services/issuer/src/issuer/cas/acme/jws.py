"""Signs what is sent to a CA: flattened JSON of RFC 7515 as RFC 8555 §6.2 wants it. Nothing else signs."""

import base64
import hashlib
import json
from typing import Final, TypeAlias

from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512, HashAlgorithm

from certcore.errors import PermanentError

__all__ = ["PrivateKey", "SigningKey", "b64url"]

PrivateKey: TypeAlias = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

_CURVES: Final[dict[str, tuple[str, str, HashAlgorithm]]] = {
    "secp256r1": ("P-256", "ES256", SHA256()),
    "secp384r1": ("P-384", "ES384", SHA384()),
    "secp521r1": ("P-521", "ES512", SHA512()),
}


def b64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class SigningKey:
    """An account's key, or that of a certificate that is revoked by it. It has no repr of what it holds.

    Raises:
        PermanentError: no algorithm of RFC 7518 is for this key.
    """

    def __init__(self, private_key: PrivateKey) -> None:
        self.private_key: Final = private_key
        self._jwk: Final = _jwk(private_key)
        canonical = json.dumps(self._jwk, sort_keys=True, separators=(",", ":")).encode()
        self.thumbprint: Final = b64url(hashlib.sha256(canonical).digest())
        self._algorithm = "RS256" if isinstance(private_key, rsa.RSAPrivateKey) else _curve(private_key)[1]

    def sign(self, payload: bytes, *, url: str, nonce: str, account: str | None) -> bytes:
        """The body of a POST. Without `account` the key itself is named, as for a new account."""
        protected: dict[str, object] = {"alg": self._algorithm, "nonce": nonce, "url": url}
        protected |= {"kid": account} if account is not None else {"jwk": self._jwk}
        head, body = b64url(json.dumps(protected).encode()), b64url(payload)
        signature = b64url(self._signature(f"{head}.{body}".encode()))
        return json.dumps({"protected": head, "payload": body, "signature": signature}).encode()

    def _signature(self, data: bytes) -> bytes:
        key = self.private_key
        if isinstance(key, rsa.RSAPrivateKey):
            return key.sign(data, padding.PKCS1v15(), SHA256())
        r, s = decode_dss_signature(key.sign(data, ec.ECDSA(_curve(key)[2])))
        size = _size(key)
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def _jwk(key: PrivateKey) -> dict[str, str]:
    if isinstance(key, rsa.RSAPrivateKey):
        numbers = key.public_key().public_numbers()
        return {"e": b64url(_shortest(numbers.e)), "kty": "RSA", "n": b64url(_shortest(numbers.n))}
    point = key.public_key().public_numbers()
    size = _size(key)
    return {
        "crv": _curve(key)[0],
        "kty": "EC",
        "x": b64url(point.x.to_bytes(size, "big")),
        "y": b64url(point.y.to_bytes(size, "big")),
    }


def _curve(key: ec.EllipticCurvePrivateKey) -> tuple[str, str, HashAlgorithm]:
    try:
        return _CURVES[key.curve.name]
    except KeyError:
        raise PermanentError(f"no CA takes a signature by a key on the curve {key.curve.name}") from None


def _size(key: ec.EllipticCurvePrivateKey) -> int:
    return (key.curve.key_size + 7) // 8


def _shortest(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")

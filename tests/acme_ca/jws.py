"""Signed requests (RFC 8555 §6.2): read from the body, and verified with the key that they name."""

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any

from josepy.errors import DeserializationError
from josepy.jwa import HS256, JWASignature
from josepy.jwk import JWK

from tests.acme_ca.calls import RefusedError

__all__ = ["Jws", "binding_kid", "key_of", "raw", "text", "thumbprint"]


def raw(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def text(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


@dataclass(frozen=True)
class Jws:
    """A flattened JWS. `payload` is None where it is empty."""

    protected: dict[str, Any]
    payload: Any
    signed: bytes
    signature: bytes

    @classmethod
    def read(cls, document: bytes | dict[str, Any]) -> "Jws":
        """From a body, or from a JWS within one."""
        try:
            fields = document if isinstance(document, dict) else json.loads(document)
            payload = raw(fields["payload"])
            return cls(
                protected=json.loads(raw(fields["protected"])),
                payload=json.loads(payload) if payload else None,
                signed=f"{fields['protected']}.{fields['payload']}".encode(),
                signature=raw(fields["signature"]),
            )
        except (ValueError, TypeError, KeyError, binascii.Error) as error:
            raise RefusedError("malformed", detail=f"this is no JWS: {error}") from error

    def verify(self, key: JWK) -> None:
        name = self.protected.get("alg")
        if name not in {"ES256", "ES384", "RS256"}:
            raise RefusedError("badSignatureAlgorithm", detail=f"{name}", algorithms=["ES256", "ES384", "RS256"])
        algorithm = JWASignature.from_json(name)
        if not algorithm.verify(key.key, self.signed, self.signature):
            raise RefusedError("malformed", detail="the signature is of another key")


def key_of(jwk: Any) -> JWK:
    try:
        key = JWK.from_json(jwk)
    except (DeserializationError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RefusedError("badPublicKey", detail=str(error)) from error
    assert isinstance(key, JWK)
    return key


def thumbprint(key: JWK) -> str:
    return text(key.thumbprint())


def binding_kid(document: Any, *, account_key: JWK, url: str, keys: dict[str, bytes]) -> str:
    """The customer that an external account binding (RFC 8555 §7.3.4) names, checked."""
    if not isinstance(document, dict):
        raise RefusedError("externalAccountRequired", 403)
    binding = Jws.read(document)
    kid = binding.protected.get("kid", "")
    if kid not in keys or binding.protected.get("url") != url or binding.protected.get("alg") != "HS256":
        raise RefusedError("unauthorized", 403, "no such customer")
    if not HS256.verify(keys[kid], binding.signed, binding.signature):
        raise RefusedError("unauthorized", 403, "the binding is signed with another key")
    if JWK.from_json(binding.payload) != account_key:
        raise RefusedError("malformed", detail="the binding is for another account key")
    return str(kid)

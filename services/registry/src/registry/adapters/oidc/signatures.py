"""Whose signature an ID token has: that of the provider's own keys, by algorithms with a public half alone."""

import binascii
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey
from joserfc.util import urlsafe_b64decode
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from registry.domain.id_token import ALGORITHMS, LoginFault, LoginRefusedError

__all__ = ["PublishedKey", "Signed", "UnknownKeyError", "read_keys", "signed_claims"]

_KINDS: Final = {"RS": "RSA", "PS": "RSA", "ES": "EC"}
_LEAST_RSA_BITS: Final = 2048
_MOST_KEYS: Final = 50
_KEY_SET: Final = TypeAdapter(Mapping[str, object])


class UnknownKeyError(LoginRefusedError):
    """No key that the provider published fits: it may have published another one since."""

    def __init__(self) -> None:
        super().__init__(LoginFault.KEY, "the ID token is signed by no key that the provider publishes")


@dataclass(frozen=True)
class PublishedKey:
    key: RSAKey | ECKey
    kid: str | None
    kind: str
    algorithm: str | None

    def may_sign(self, algorithm: str, kid: str | None) -> bool:
        fits = self.kind == _KINDS[algorithm[:2]] and self.algorithm in {None, algorithm}
        return fits and (kid is None or kid == self.kid)


@dataclass(frozen=True)
class Signed:
    """Claims whose signature holds, and by which algorithm."""

    claims: Mapping[str, object]
    algorithm: str


class _Header(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)

    alg: str
    kid: str | None = None


def read_keys(document: bytes) -> tuple[PublishedKey, ...]:
    """The keys of a key set that may have signed an ID token; others are left out.

    Raises:
        ValueError: it is no key set.
    """
    listed = _KEY_SET.validate_json(document).get("keys")
    if not isinstance(listed, list):
        raise ValueError("holds no list of keys")  # noqa: TRY004 # of what was sent, not of the argument
    return tuple(_usable(listed[:_MOST_KEYS]))


def _usable(listed: Sequence[object]) -> Iterator[PublishedKey]:
    for item in listed:
        if not isinstance(item, dict) or item.get("use") not in {None, "sig"}:
            continue
        kind, kid, algorithm = item.get("kty"), item.get("kid"), item.get("alg")
        try:
            key = _imported(str(kind), item)
        except (JoseError, ValueError, TypeError, KeyError, binascii.Error):
            continue
        if key is None:
            continue
        yield PublishedKey(
            key,
            kid if isinstance(kid, str) else None,
            str(kind),
            algorithm if isinstance(algorithm, str) else None,
        )


def _imported(kind: str, item: dict[str, str | list[str]]) -> RSAKey | ECKey | None:
    if kind == "EC":
        return ECKey.import_key(item)
    modulus = urlsafe_b64decode(str(item.get("n")).encode("ascii"))
    if kind != "RSA" or int.from_bytes(modulus).bit_length() < _LEAST_RSA_BITS:
        return None
    return RSAKey.import_key(item)


def signed_claims(token: str, keys: Sequence[PublishedKey]) -> Signed:
    """The claims of an ID token.

    Raises:
        UnknownKeyError: none of the keys fits.
        LoginRefusedError: it isn't signed by one of them, or is no signed token.
    """
    try:
        header = _Header.model_validate_json(urlsafe_b64decode(token.partition(".")[0].encode("ascii")))
    except (ValidationError, ValueError):
        raise LoginRefusedError(LoginFault.FORM, "the provider's answer holds no signed ID token") from None
    if header.alg not in ALGORITHMS:
        raise LoginRefusedError(LoginFault.SIGNATURE, "the ID token is signed by no algorithm that is taken here")
    fitting = [item.key for item in keys if item.may_sign(header.alg, header.kid)]
    if not fitting:
        raise UnknownKeyError
    for key in fitting:
        try:
            claims = jwt.decode(token, key, algorithms=[header.alg]).claims
        except (JoseError, ValueError, json.JSONDecodeError):
            continue
        return Signed(claims, header.alg)
    raise LoginRefusedError(LoginFault.SIGNATURE, "the signature of the ID token doesn't hold")

"""Whether the claims of an ID token hold: it is for us, from our provider, for this login, and not too old."""

import base64
import hashlib
import hmac
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from certcore.errors import CertbusError

__all__ = ["ALGORITHMS", "Expected", "LoginFault", "LoginRefusedError", "fault_in"]

ALGORITHMS: Final = (
    *("RS256", "RS384", "RS512"),
    *("PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512"),
)
"""Those with a public and a private half, and nothing else: what checks a signature can't make one."""
_LEEWAY_S: Final = 60
_HASHES: Final = {"256": hashlib.sha256, "384": hashlib.sha384, "512": hashlib.sha512}


class LoginFault(StrEnum):
    """Why nobody is signed in; the label of the metric."""

    FORM = "oidc-form"
    SIGNATURE = "oidc-signature"
    KEY = "oidc-key"
    ISSUER = "oidc-issuer"
    AUDIENCE = "oidc-audience"
    PARTY = "oidc-party"
    EXPIRED = "oidc-expired"
    EARLY = "oidc-early"
    NONCE = "oidc-nonce"
    HASH = "oidc-hash"
    SUBJECT = "oidc-subject"
    GROUPS = "oidc-groups"
    STATE = "oidc-state"
    CODE = "oidc-code"
    REFUSED = "oidc-refused"


class LoginRefusedError(CertbusError):
    """A sign-in that ends here. Its text holds nothing of what the provider or the browser sent but names."""

    def __init__(self, fault: LoginFault, detail: str) -> None:
        super().__init__(detail)
        self.fault = fault


@dataclass(frozen=True)
class Expected:
    """`nonce` is that of the login; None where no browser brought the token. `audience` may differ from the client
    where the provider is told so.
    """

    issuer: str
    client_id: str
    audience: str
    nonce: str | None


def fault_in(
    claims: Mapping[str, object], expected: Expected, *, algorithm: str, access_token: str | None, now: datetime
) -> LoginFault | None:
    """The first that doesn't hold; None where all do. OpenID Connect Core 1.0, 3.1.3.7 and 3.1.3.8."""
    told = claims.get("aud")
    audiences = told if isinstance(told, list) else [told]
    party = claims.get("azp")
    checks = (
        (claims.get("iss") == expected.issuer, LoginFault.ISSUER),
        (expected.audience in audiences, LoginFault.AUDIENCE),
        (party == expected.client_id or (party is None and len(audiences) == 1), LoginFault.PARTY),
        (_is_instant(claims.get("iat")), LoginFault.FORM),
        (_is_after(claims.get("exp"), now.timestamp() - _LEEWAY_S), LoginFault.EXPIRED),
        (not _is_after(claims.get("iat"), now.timestamp() + _LEEWAY_S), LoginFault.EARLY),
        (not _begins_later(claims, now.timestamp() + _LEEWAY_S), LoginFault.EARLY),
        (expected.nonce is None or _same(claims.get("nonce"), expected.nonce), LoginFault.NONCE),
        (_hash_fits(claims, algorithm, access_token), LoginFault.HASH),
    )
    return next((fault for holds, fault in checks if not holds), None)


def _is_instant(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_after(value: object, instant: float) -> bool:
    return isinstance(value, int | float) and _is_instant(value) and value > instant


def _begins_later(claims: Mapping[str, object], instant: float) -> bool:
    begin = claims.get("nbf")
    return begin is not None and (not _is_instant(begin) or _is_after(begin, instant))


def _same(told: object, expected: str) -> bool:
    return isinstance(told, str) and hmac.compare_digest(told.encode(), expected.encode())


def _hash_fits(claims: Mapping[str, object], algorithm: str, access_token: str | None) -> bool:
    """Where the ID token tells the hash of the access token that came beside it."""
    told = claims.get("at_hash")
    hashed = _HASHES.get(algorithm[-3:])
    if told is None:
        return True
    if access_token is None or hashed is None:
        return False
    digest = hashed(access_token.encode()).digest()
    return _same(told, base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode())

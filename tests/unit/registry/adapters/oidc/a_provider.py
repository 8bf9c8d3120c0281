"""A provider with keys of its own that answers without a network, and can be told to do wrong."""

import hashlib
import hmac
import json
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final
from urllib.parse import parse_qs, unquote_plus

import httpx
from joserfc import jwt
from joserfc.jwk import ECKey, Key, RSAKey

from registry.adapters.oidc.provider import Client, Provider

__all__ = ["CLIENT", "ISSUER", "NOON", "AProvider", "an_ec_key", "an_rsa_key", "encoded"]

ISSUER: Final = "https://id.example.test/realm"
CLIENT: Final = Client(
    issuer=ISSUER, id="certbus", redirect_url="https://certbus.example.test/oidc/callback", scope="openid"
)
NOON: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)


@cache
def an_rsa_key(kid: str, bits: int = 2048) -> RSAKey:
    return RSAKey.generate_key(bits, {"kid": kid}, auto_kid=False)


def encoded(value: bytes | Mapping[str, Any]) -> str:
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    return urlsafe_b64encode(content).rstrip(b"=").decode()


@dataclass
class AProvider:
    """`claims` and `token` bend what it answers; `keys` are those that it publishes."""

    keys: list[Key] = field(default_factory=lambda: [an_rsa_key("one")])
    metadata: dict[str, Any] = field(default_factory=dict)
    claims: dict[str, Any] = field(default_factory=dict)
    token: Callable[[dict[str, Any]], str] | None = None
    away: bool = False
    reads: int = 0
    now: datetime = NOON
    posted: dict[str, str] = field(default_factory=dict)
    authorization: str = ""
    challenges: dict[str, str] = field(default_factory=dict)
    nonces: dict[str, str] = field(default_factory=dict)

    def clock(self) -> datetime:
        return self.now

    def provider(self, client: Client = CLIENT) -> Provider:
        return Provider(client=client, clock=self.clock, transport=httpx.MockTransport(self.answer))

    def gives(self, code: str, *, nonce: str, challenge: str) -> None:
        """From now on it gives tokens for the code, once."""
        self.nonces[code], self.challenges[code] = nonce, challenge

    def answer(self, request: httpx.Request) -> httpx.Response:
        if self.away:
            raise httpx.ConnectError("nobody listens")
        if request.url.path.endswith("/.well-known/openid-configuration"):
            self.reads += 1
            return httpx.Response(200, json=self.published())
        if request.url.path == "/keys":
            return httpx.Response(200, json={"keys": [key.as_dict(private=False) for key in self.keys]})
        return self._tokens(request)

    def published(self) -> dict[str, Any]:
        return {
            "issuer": ISSUER,
            "authorization_endpoint": "https://id.example.test/authorize",
            "token_endpoint": "https://id.example.test/token",
            "jwks_uri": "https://id.example.test/keys",
        } | self.metadata

    def _tokens(self, request: httpx.Request) -> httpx.Response:
        self.posted = {name: values[0] for name, values in parse_qs(request.content.decode()).items()}
        self.authorization = request.headers.get("authorization", "")
        code = self.posted["code"]
        challenge = encoded(hashlib.sha256(self.posted["code_verifier"].encode()).digest())
        if self.challenges.pop(code, None) != challenge:
            return httpx.Response(400, json={"error": "invalid_grant", "error_description": f"code {code} is used"})
        claims = self.usual(self.nonces[code]) | self.claims
        claims = {name: value for name, value in claims.items() if value is not None}
        token = self.token(claims) if self.token else self.signed(claims)
        return httpx.Response(200, json={"id_token": token, "access_token": "at", "token_type": "Bearer"})

    def usual(self, nonce: str) -> dict[str, Any]:
        return {
            "iss": ISSUER,
            "aud": "certbus",
            "sub": "u-1",
            "iat": int(self.now.timestamp()),
            "exp": int((self.now + timedelta(minutes=5)).timestamp()),
            "nonce": nonce,
            "at_hash": encoded(hashlib.sha256(b"at").digest()[:16]),
            "name": "Ana",
            "groups": ["shop-people"],
        }

    def signed(self, claims: dict[str, Any], key: Key | None = None, **header: Any) -> str:
        by = key or self.keys[0]
        algorithm = {"RSA": "RS256", "EC": "ES256"}[by.key_type]
        return jwt.encode({"alg": algorithm, "kid": by.kid} | header, claims, by, algorithms=[algorithm])

    def signed_by_the_public_half(self, claims: dict[str, Any]) -> str:
        """HS256 with what everybody knows as its secret."""
        signed = f"{encoded({'alg': 'HS256', 'kid': 'one'})}.{encoded(claims)}"
        secret = an_rsa_key("one").as_pem(private=False)
        return f"{signed}.{encoded(hmac.digest(secret, signed.encode(), 'sha256'))}"

    def basic(self) -> tuple[str, ...]:
        pair = b64decode(self.authorization.removeprefix("Basic ")).decode()
        return tuple(map(unquote_plus, pair.split(":")))


def an_ec_key(kid: str) -> ECKey:
    return ECKey.generate_key("P-256", {"kid": kid}, auto_kid=False)

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

__all__ = ["CLIENT", "ISSUER", "NOON", "AProvider", "Device", "an_ec_key", "an_rsa_key", "encoded"]

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
class Device:
    """A sign-in that waits for somebody at its page; `subject` said yes, or somebody `denied`."""

    asked_at: datetime
    expires_at: datetime
    interval: timedelta
    subject: str | None = None
    denied: bool = False

    def word(self, now: datetime) -> str | None:
        """Why there are no tokens."""
        soon = now - self.asked_at < self.interval
        self.asked_at = now
        if now >= self.expires_at:
            return "expired_token"
        if soon:
            self.interval += timedelta(seconds=5)
            return "slow_down"
        if self.denied:
            return "access_denied"
        return "authorization_pending" if self.subject is None else None


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
    devices: dict[str, Device] = field(default_factory=dict)
    device_answer: dict[str, Any] = field(default_factory=dict)
    polls: list[datetime] = field(default_factory=list)

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
        if request.url.path == "/device":
            return self._device(request)
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
        if self.posted["grant_type"] == "urn:ietf:params:oauth:grant-type:device_code":
            return self._device_tokens()
        code = self.posted["code"]
        challenge = encoded(hashlib.sha256(self.posted["code_verifier"].encode()).digest())
        if self.challenges.pop(code, None) != challenge:
            return httpx.Response(400, json={"error": "invalid_grant", "error_description": f"code {code} is used"})
        return self._told(self.usual(self.nonces[code]) | self.claims)

    def _device(self, request: httpx.Request) -> httpx.Response:
        """RFC 8628, 3.1 and 3.2: who isn't its client gets nothing."""
        self.posted = {name: values[0] for name, values in parse_qs(request.content.decode()).items()}
        if self.posted.get("client_id") != "certbus":
            return httpx.Response(401, json={"error": "invalid_client"})
        code = f"device-{len(self.devices)}"
        self.devices[code] = Device(self.now, self.now + timedelta(minutes=10), timedelta(seconds=5))
        return httpx.Response(
            200,
            json={
                "device_code": code,
                "user_code": f"WDJB-{len(self.devices):04}",
                "verification_uri": "https://id.example.test/device",
                "expires_in": 600,
                **self.device_answer,
            },
        )

    def _device_tokens(self) -> httpx.Response:
        """RFC 8628, 3.4 and 3.5: pending until somebody decided, slower for who asks too soon, and once only."""
        self.polls.append(self.now)
        device = self.devices.get(self.posted["device_code"])
        word = device.word(self.now) if device is not None else "invalid_grant"
        if device is None or word is not None:
            return httpx.Response(400, json={"error": word})
        del self.devices[self.posted["device_code"]]
        return self._told(self.usual("") | {"nonce": None, "sub": device.subject} | self.claims)

    def _told(self, claims: dict[str, Any]) -> httpx.Response:
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

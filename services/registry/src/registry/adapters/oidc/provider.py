"""Asks the provider. What it publishes is read late and again: one that is away stops nothing but sign-ins."""

import asyncio
import base64
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final
from urllib.parse import quote_plus, urlencode

import httpx
import structlog
from pydantic import ValidationError

from certcore.clock import Clock
from certcore.errors import TransientError
from certkit.readiness import Finding
from registry.adapters.oidc.metadata import WELL_KNOWN, DeviceAnswer, Metadata, Refusal, TokenAnswer
from registry.adapters.oidc.signatures import PublishedKey, Signed, UnknownKeyError, read_keys, signed_claims
from registry.domain.device_login import Unready
from registry.domain.id_token import LoginFault, LoginRefusedError

__all__ = ["Client", "Provider", "ProviderAwayError"]

log = structlog.get_logger()

_DEVICE_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
_TIMEOUT_S: Final = 10.0
_MOST_BYTES: Final = 1024 * 1024
_FRESH: Final = timedelta(hours=1)
"""So old what the provider publishes may become before it is read again."""
_APART: Final = timedelta(seconds=30)
"""No sooner it is read again, whatever keys are named."""
_AFTER_FAILURE: Final = timedelta(seconds=2)
"""Likewise, where it couldn't be read."""


class ProviderAwayError(TransientError):
    """The provider can't be asked now."""


@dataclass(frozen=True)
class Client:
    """What the provider knows this registry as. Without a secret it is a public client, by PKCE alone."""

    issuer: str
    id: str
    redirect_url: str
    scope: str
    secret_file: Path | None = None

    def secret(self) -> str | None:
        return self.secret_file.read_text(encoding="utf-8").strip() if self.secret_file is not None else None


@dataclass(frozen=True)
class _Published:
    metadata: Metadata
    keys: tuple[PublishedKey, ...]
    read_at: datetime


class Provider:
    """`transport` takes the place of the network."""

    def __init__(
        self,
        *,
        client: Client,
        clock: Clock,
        trust: ssl.SSLContext | bool = True,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._client = client
        self._clock = clock
        self._trust = trust
        self._transport = transport
        self._published: _Published | None = None
        self._tried_at: datetime | None = None
        self._problem: str | None = "it wasn't asked yet"
        self._reading = asyncio.Lock()

    async def metadata(self) -> Metadata:
        """What the provider published last.

        Raises:
            ProviderAwayError: nothing of it could be read yet.
        """
        return (await self._present()).metadata

    def end_session_endpoint(self) -> str | None:
        """Where the provider ends its own session, as far as that is known."""
        return self._published.metadata.end_session_endpoint if self._published is not None else None

    async def authorization_url(self, *, state: str, nonce: str, challenge: str) -> str:
        """Where the browser is sent.

        Raises:
            ProviderAwayError: nothing could be read of the provider yet.
        """
        query = {
            "response_type": "code",
            "client_id": self._client.id,
            "redirect_uri": self._client.redirect_url,
            "scope": self._client.scope,
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        endpoint = (await self.metadata()).authorization_endpoint
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}"

    async def exchange(self, code: str, *, verifier: str) -> TokenAnswer:
        """The tokens for a code, which the provider gives once.

        Raises:
            LoginRefusedError: the provider gives none for it.
            ProviderAwayError: it can't be asked now.
        """
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._client.redirect_url,
            "code_verifier": verifier,
        }
        status, body = await self._as_client((await self.metadata()).token_endpoint, form)
        if status != 200:
            raise LoginRefusedError(LoginFault.CODE, f"the provider gives no token for this sign-in: {_word(body)}")
        return _tokens(body)

    async def device(self) -> DeviceAnswer:
        """Have a person asked at the provider's page for a machine without a browser (RFC 8628, 3.1).

        Raises:
            LoginRefusedError: the provider has nothing of the kind, or refuses.
            ProviderAwayError: it can't be asked now.
        """
        endpoint = (await self.metadata()).device_authorization_endpoint
        if endpoint is None:
            raise LoginRefusedError(LoginFault.REFUSED, "the provider signs in nobody without a browser")
        status, body = await self._as_client(endpoint, {"scope": self._client.scope})
        if status != 200:
            raise LoginRefusedError(LoginFault.REFUSED, f"the provider begins no such sign-in: {_word(body)}")
        try:
            return DeviceAnswer.model_validate_json(body)
        except ValidationError:
            raise LoginRefusedError(LoginFault.FORM, "the provider's answer can't be used") from None

    async def device_tokens(self, device_code: str) -> TokenAnswer | Unready:
        """The tokens, once somebody said yes (RFC 8628, 3.4).

        Raises:
            LoginRefusedError: somebody said no, or nobody came in time.
            ProviderAwayError: it can't be asked now.
        """
        form = {"grant_type": _DEVICE_GRANT, "device_code": device_code}
        status, body = await self._as_client((await self.metadata()).token_endpoint, form)
        if status == 200:
            return _tokens(body)
        word = _word(body)
        if word in {Unready.PENDING, Unready.SLOW_DOWN}:
            return Unready(word)
        told = {"access_denied": "somebody said no", "expired_token": "nobody signed in in time"}
        raise LoginRefusedError(LoginFault.REFUSED, f"the provider signs nobody in: {told.get(word, word)}")

    async def _as_client(self, endpoint: str, form: dict[str, str]) -> tuple[int, bytes]:
        """What the provider answers to this registry.

        Raises:
            ProviderAwayError: nothing that counts.
        """
        metadata, secret = await self.metadata(), await self._secret()
        headers = {"accept": "application/json"}
        if secret is None:
            form = {**form, "client_id": self._client.id}
        elif "client_secret_basic" in metadata.token_endpoint_auth_methods_supported:
            pair = f"{quote_plus(self._client.id)}:{quote_plus(secret)}"
            headers["authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            form = {**form, "client_id": self._client.id, "client_secret": secret}
        status, body = await self._ask("POST", endpoint, form=form, headers=headers)
        if status >= 500:
            raise ProviderAwayError(f"the provider's token endpoint answers with status {status}")
        return status, body

    async def _secret(self) -> str | None:
        try:
            return await asyncio.to_thread(self._client.secret)
        except (OSError, UnicodeDecodeError) as error:
            raise ProviderAwayError(f"oidc_client_secret_file can't be read: {type(error).__name__}") from None

    async def signed(self, id_token: str) -> Signed:
        """The claims of an ID token whose signature holds. For an unknown key the keys are read again, at most so
        often.

        Raises:
            LoginRefusedError: it has none that holds.
            ProviderAwayError: nothing could be read of the provider yet.
        """
        published = await self._present()
        try:
            return signed_claims(id_token, published.keys)
        except UnknownKeyError:
            again = await self._read(unless_newer_than=published.read_at)
            if again is published:
                raise
            return signed_claims(id_token, again.keys)

    async def look(self) -> None:
        """Read what is older than an hour, or couldn't be read; a round."""
        try:
            await self._present()
        except ProviderAwayError as error:
            log.warning("oidc_provider_away", reason=str(error))

    def findings(self) -> Sequence[Finding]:
        """A check of readiness: without the provider all but new sign-ins work."""
        return [Finding(check="oidc", detail=self._problem)]

    async def _present(self) -> _Published:
        published = self._published
        if published is not None and self._clock() - published.read_at < _FRESH:
            return published
        return await self._read(unless_newer_than=published.read_at if published else None)

    async def _read(self, *, unless_newer_than: datetime | None) -> _Published:
        """What is published now; what was read last where that was just now, or can't be read now."""
        async with self._reading:
            known = self._published
            now = self._clock()
            renewed = known is not None and known.read_at != unless_newer_than
            apart = _AFTER_FAILURE if self._problem is not None else _APART
            if renewed or (self._tried_at is not None and now - self._tried_at < apart):
                return self._last(known)
            self._tried_at = now
            try:
                self._published = known = await self._fetch(now)
                self._problem = None
            except ProviderAwayError as error:
                self._problem = str(error)
            return self._last(known)

    def _last(self, known: _Published | None) -> _Published:
        if known is None:
            raise ProviderAwayError(f"nobody can sign in now: {self._problem}")
        return known

    async def _fetch(self, now: datetime) -> _Published:
        url = self._client.issuer.rstrip("/") + WELL_KNOWN
        status, body = await self._ask("GET", url)
        try:
            metadata = Metadata.model_validate_json(body) if status == 200 else None
        except ValidationError as error:
            fields = ", ".join(sorted({".".join(map(str, item["loc"])) for item in error.errors()}))
            raise ProviderAwayError(f"{url} can't be used: {fields}") from None
        if metadata is None:
            raise ProviderAwayError(f"{url} answers with status {status}")
        if metadata.issuer != self._client.issuer:
            raise ProviderAwayError(f"{url} is of another issuer than the one that is set: {metadata.issuer[:200]!r}")
        status, body = await self._ask("GET", metadata.jwks_uri)
        try:
            keys = read_keys(body) if status == 200 else ()
        except ValueError:
            keys = ()
        if not keys:
            raise ProviderAwayError(f"{metadata.jwks_uri} holds no key that can be used")
        return _Published(metadata, keys, now)

    async def _ask(
        self,
        method: str,
        url: str,
        *,
        form: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, bytes]:
        try:
            # Redirects aren't followed: what is sent is meant for this host alone.
            async with (
                asyncio.timeout(_TIMEOUT_S),
                httpx.AsyncClient(
                    verify=self._trust, trust_env=False, timeout=_TIMEOUT_S, transport=self._transport
                ) as client,
                client.stream(method, url, data=form, headers=headers) as response,
            ):
                body = b""
                async for part in response.aiter_bytes():
                    body += part
                    if len(body) > _MOST_BYTES:
                        raise ProviderAwayError("the provider's answer is too long")
                return response.status_code, body
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            raise ProviderAwayError(f"the provider doesn't answer: {type(error).__name__}") from None


def _tokens(body: bytes) -> TokenAnswer:
    try:
        return TokenAnswer.model_validate_json(body)
    except ValidationError:
        raise LoginRefusedError(LoginFault.FORM, "the provider's answer holds no ID token") from None


def _word(body: bytes) -> str:
    try:
        return Refusal.model_validate_json(body).error
    except ValidationError:
        return "it doesn't say why"

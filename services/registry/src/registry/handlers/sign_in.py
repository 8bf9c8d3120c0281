"""People are sent to their company's provider, and come back with proof of who they are."""

import secrets
from urllib.parse import urlencode

from certcore.clock import Clock
from certcore.proof_key import challenge_of
from registry.adapters.oidc.metadata import TokenAnswer
from registry.adapters.oidc.provider import Provider
from registry.domain.id_token import Expected, LoginFault, LoginRefusedError, fault_in
from registry.domain.identity import Identity, Named, identity_of
from registry.domain.login import Answer, CommandDoor, Login, code_of

__all__ = ["SignIn"]


class SignIn:
    """`audience` is whom ID tokens must be for, `named` which of their claims count."""

    def __init__(
        self, *, provider: Provider, clock: Clock, issuer: str, client_id: str, audience: str, named: Named
    ) -> None:
        self._provider = provider
        self._clock = clock
        self._issuer = issuer
        self._client_id = client_id
        self._audience = audience
        self._named = named

    async def begin(self, door: CommandDoor | None) -> tuple[Login, str]:
        """A login, and where the browser is sent for it.

        Raises:
            ProviderAwayError: nothing could be read of the provider yet.
        """
        login = Login(secrets.token_urlsafe(32), door)
        url = await self._provider.authorization_url(
            state=login.state, nonce=login.nonce, challenge=challenge_of(login.verifier)
        )
        return login, url

    async def identity(self, login: Login | None, answer: Answer) -> Identity:
        """Who came back with this answer.

        Raises:
            LoginRefusedError: that isn't proven.
            ProviderAwayError: the provider can't be asked now.
        """
        code, issuer = code_of(login, answer), answer.issuer
        assert login is not None, "an answer is for a login"
        metadata = await self._provider.metadata()
        if issuer is None and not metadata.authorization_response_iss_parameter_supported:
            issuer = self._issuer
        if issuer != self._issuer:
            raise LoginRefusedError(
                LoginFault.ISSUER, "the answer is from another issuer than the one that was asked"
            )
        tokens = await self._provider.exchange(code, verifier=login.verifier)
        return await self.identity_in(tokens, nonce=login.nonce)

    async def identity_in(self, tokens: TokenAnswer, *, nonce: str | None) -> Identity:
        """Whom the tokens are of; `nonce` as in `Expected`.

        Raises:
            LoginRefusedError: that isn't proven.
            ProviderAwayError: the provider can't be asked now.
        """
        signed = await self._provider.signed(tokens.id_token)
        fault = fault_in(
            signed.claims,
            Expected(self._issuer, self._client_id, self._audience, nonce),
            algorithm=signed.algorithm,
            access_token=tokens.access_token,
            now=self._clock(),
        )
        if fault is not None:
            raise LoginRefusedError(fault, f"the ID token doesn't hold: {fault.removeprefix('oidc-')}")
        return identity_of(signed.claims, self._named, issuer=self._issuer)

    def provider_logout(self) -> str | None:
        """Where the provider's own session ends; None where it has no such page, or nothing is known of it."""
        endpoint = self._provider.end_session_endpoint()
        if endpoint is None:
            return None
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode({'client_id': self._client_id})}"

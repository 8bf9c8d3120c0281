"""Signing in from a machine without a browser: somebody says yes at the provider's page, elsewhere (RFC 8628)."""

import secrets
from datetime import timedelta
from typing import Final

from certcore.clock import Clock
from certcore.tokens import DeviceOffer, DevicePoll, DeviceWait, TokenView
from registry.adapters.oidc.device_codes import opened, sealed
from registry.adapters.oidc.provider import Provider, ProviderAwayError
from registry.adapters.store import Store, Transaction
from registry.domain.device_login import LONGEST, SHORTEST, DeviceLogin, Unready, asked, slowed
from registry.domain.errors import TooManyError
from registry.domain.id_token import LoginFault, LoginRefusedError
from registry.handlers.http.auth import hash_token
from registry.handlers.sessions import Sessions
from registry.handlers.sign_in import SignIn

__all__ = ["DeviceSignIn"]

_MOST: Final = 200
"""That wait at once: each is a call to the provider, by somebody who showed nothing yet."""
_LASTS: Final = timedelta(minutes=30)
_UNKNOWN: Final = "this sign-in was used, is too old, or was begun by another command: begin anew"


class DeviceSignIn:
    """The provider's code for the device is never told to the command, which only shows what a person types."""

    def __init__(
        self,
        *,
        store: Store,
        provider: Provider,
        sign_in: SignIn,
        sessions: Sessions,
        clock: Clock,
        most: int = _MOST,
    ) -> None:
        self._store = store
        self._provider = provider
        self._sign_in = sign_in
        self._sessions = sessions
        self._clock = clock
        self._most = most

    async def begin(self, *, verifier: str) -> DeviceOffer:
        """What a person types, and where.

        Raises:
            LoginRefusedError: the provider signs no devices in.
            ProviderAwayError: it can't be asked now.
            TooManyError: so many wait that no further one begins.
        """
        if (
            await self._store.write(lambda transaction: transaction.device_logins.waiting(self._clock()))
            >= self._most
        ):
            raise TooManyError("too many wait to sign in: try again later", retry_after=LONGEST)
        answer = await self._provider.device()
        handle, now = secrets.token_urlsafe(32), self._clock()
        login = DeviceLogin(
            sha256=hash_token(handle),
            sealed=sealed(answer.device_code, verifier=verifier),
            interval=max(SHORTEST, timedelta(seconds=answer.interval)),
            next_at=now + max(SHORTEST, timedelta(seconds=answer.interval)),
            expires_at=now + min(_LASTS, timedelta(seconds=answer.expires_in)),
        )
        await self._store.write(lambda transaction: transaction.device_logins.add(login))
        return DeviceOffer(
            handle=handle,
            user_code=answer.user_code,
            url=answer.verification_uri,
            url_with_code=answer.verification_uri_complete,
            interval_s=login.interval.total_seconds(),
            expires_s=(login.expires_at - now).total_seconds(),
        )

    async def poll(self, order: DevicePoll) -> TokenView | DeviceWait:
        """The command's session, once somebody said yes; until then, how long to wait before asking again.

        Raises:
            LoginRefusedError: somebody said no, nobody came in time, or the sign-in is unknown.
        """
        sha256 = hash_token(order.handle)

        def ask(transaction: Transaction) -> tuple[str | None, float]:
            """The provider's code where it may be asked now; else the seconds until then."""
            login, now = transaction.device_logins.hold(sha256), self._clock()
            code = opened(login.sealed, verifier=order.verifier) if login is not None else None
            if login is None or code is None:
                raise LoginRefusedError(LoginFault.CODE, _UNKNOWN)
            turn = asked(login, now)
            if turn is None:
                return None, (login.next_at - now).total_seconds()
            transaction.device_logins.save(turn)
            return code, 0.0

        code, wait_s = await self._store.write(ask)
        if code is None:
            return DeviceWait(wait_s=wait_s)
        try:
            tokens = await self._provider.device_tokens(code)
        except ProviderAwayError:
            return await self._waits(sha256, Unready.AWAY)
        except LoginRefusedError:
            await self._store.write(lambda transaction: transaction.device_logins.end(sha256))
            raise
        if isinstance(tokens, Unready):
            return await self._waits(sha256, tokens)
        # Whatever comes of it: a provider gives its token once.
        if not await self._store.write(lambda transaction: transaction.device_logins.end(sha256)):
            raise LoginRefusedError(LoginFault.CODE, _UNKNOWN)
        return await self._sessions.open_command(await self._sign_in.identity_in(tokens, nonce=None))

    async def _waits(self, sha256: str, why: Unready) -> DeviceWait:
        def work(transaction: Transaction) -> float:
            login, now = transaction.device_logins.hold(sha256), self._clock()
            if login is None:
                raise LoginRefusedError(LoginFault.CODE, _UNKNOWN)
            later = slowed(login, why, now)
            transaction.device_logins.save(later)
            return later.interval.total_seconds()

        return DeviceWait(wait_s=await self._store.write(work))

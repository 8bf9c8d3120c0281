"""Sessions of those whom the provider signed in: of a page, which only looks, and of the command."""

import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Final

import structlog

from certcore.audit import Way
from certcore.clock import Clock
from certcore.proof_key import challenge_of
from certcore.tokens import TokenKind, TokenView
from registry.adapters.store import Store, Transaction
from registry.domain.access import PAGE, Principal
from registry.domain.id_token import LoginFault, LoginRefusedError
from registry.domain.identity import Identity
from registry.domain.login import CommandDoor

__all__ = ["Sessions"]

log = structlog.get_logger()

_CODE: Final = timedelta(minutes=2)
_COMMAND: Final = "command"


class Sessions:
    """`lasts` is how long a session lasts, and so the longest that a group counts which the provider took away.
    `new_token` makes a secret, `hash_token` what is stored of it.
    """

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        lasts: timedelta,
        new_token: Callable[[], str],
        hash_token: Callable[[str], str],
    ) -> None:
        self._store = store
        self._clock = clock
        self._lasts = lasts
        self._new_token = new_token
        self._hash = hash_token

    async def open_page(self, identity: Identity) -> str:
        """The session of a page, which only looks."""
        return (await self._session(identity, TokenKind.SESSION, PAGE))[0]

    async def code_for(self, identity: Identity, door: CommandDoor) -> str:
        """A code by which the command gets its session, once and soon."""
        code, now = secrets.token_urlsafe(32), self._clock()
        await self._store.write(
            lambda transaction: transaction.login_codes.add(
                self._hash(code), identity, challenge=door.challenge, now=now, expires_at=now + _CODE
            )
        )
        return code

    async def redeem(self, code: str, *, verifier: str) -> TokenView:
        """The command's session for its code.

        Raises:
            LoginRefusedError: the code is unknown, used, too old, or another command's.
        """
        sha256, challenge, now = self._hash(code), challenge_of(verifier), self._clock()
        identity = await self._store.write(
            lambda transaction: transaction.login_codes.take(sha256, challenge=challenge, now=now)
        )
        if identity is None:
            raise LoginRefusedError(LoginFault.CODE, "this sign-in was used or is too old: sign in anew")
        return await self.open_command(identity)

    async def open_command(self, identity: Identity) -> TokenView:
        """The session of the command."""
        now = self._clock()
        secret, principal = await self._session(identity, TokenKind.PERSON, _COMMAND)
        return TokenView(
            subject=principal.subject,
            token=secret,
            id=principal.token_id,
            name=identity.name,
            expires_at=now + self._lasts,
        )

    async def _session(self, identity: Identity, kind: TokenKind, where: str) -> tuple[str, Principal]:
        secret, now = self._new_token(), self._clock()
        person = Principal(
            identity.subject,
            "",
            frozenset(),
            issuer=identity.issuer,
            kind=kind,
            groups=identity.groups,
            also=identity.also,
        )

        def work(transaction: Transaction) -> Principal:
            token = transaction.tokens.add(
                self._hash(secret), person, now=now, expires_at=now + self._lasts, name=identity.name
            )
            transaction.audit.note(identity.subject, "sign in", where, f"by {identity.issuer}", now, way=Way.TOKEN)
            return token.principal

        made = await self._store.write(work)
        log.info("person_signed_in", where=where, token_id=made.token_id)
        return secret, made

    async def leave(self, person: Principal) -> None:
        """The page's session ends."""
        now = self._clock()

        def work(transaction: Transaction) -> None:
            token = transaction.tokens.hold(person.token_id)
            if token is not None and token.revoked_at is None:
                transaction.tokens.end(replace(token, revoked_at=now, revoked_by=person.subject))
                transaction.audit.note(person.subject, "sign out", PAGE, token.id, now, way=Way.TOKEN)

        await self._store.write(work)

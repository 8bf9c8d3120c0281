"""Tokens are made, rotated and ended here, each act with its note in the audit."""

from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime

from certcore.api import Role
from certcore.audit import Way
from certcore.clock import Clock
from certcore.rejection import RejectedError, Rejection
from certcore.tokens import RightsAct, RightsChangeView, TokenKind, TokenOrder, TokenSummary, TokenView
from registry.adapters.store import Store, Transaction
from registry.domain.access import LOCAL, Principal, Refusal, is_own_token, may_make, may_revoke
from registry.domain.errors import ConflictError, ForbiddenError, NotFoundError
from registry.domain.rights_change import RightsChange
from registry.domain.token import Token, fault_of, ordered, rotated
from registry.handlers.rights_changes import RightsChanges, change_view

__all__ = ["Tokens", "token_summary", "token_view"]


class Tokens:
    """`new_token` makes a secret, `hash_token` what is stored. `changes` stores what waits for a second admin."""

    def __init__(
        self,
        *,
        store: Store,
        changes: RightsChanges,
        clock: Clock,
        new_token: Callable[[], str],
        hash_token: Callable[[str], str],
    ) -> None:
        self._store = store
        self._changes = changes
        self._clock = clock
        self.new_secret = new_token
        self._hash = hash_token

    async def make(self, order: TokenOrder, caller: Principal) -> TokenView | RightsChangeView:
        """Make a token; the answer alone has it.

        Raises:
            ForbiddenError: the caller may not give these roles.
            RejectedError: there can be no such token.
        """
        secret, now = self.new_secret(), self._clock()

        def work(transaction: Transaction) -> Token | RightsChange:
            token = _ordered(transaction, order, caller, now)
            asked = self._changes.ask(
                transaction,
                RightsAct.MAKE,
                caller,
                subject=order.subject,
                roles=order.roles,
                own=False,
                now=now,
                order=order,
            )
            return asked or self._make(transaction, order, token, caller, secret)

        return _answer(await self._store.write(work), secret, now)

    def make_now(
        self, transaction: Transaction, order: TokenOrder, caller: Principal, secret: str, *, now: datetime
    ) -> Token:
        """As `make`, once nobody has to be asked any more."""
        return self._make(transaction, order, _ordered(transaction, order, caller, now), caller, secret)

    def _make(
        self, transaction: Transaction, order: TokenOrder, token: Token, caller: Principal, secret: str
    ) -> Token:
        transaction.audit.note(
            *(caller.subject, "make token", order.subject, ", ".join(order.roles), token.created_at),
            way=Way.TOKEN,
            roles=caller.roles,
        )
        return self._add(transaction, secret, token)

    async def rotate(self, token_id: str, caller: Principal) -> TokenView | RightsChangeView:
        """Make a token that takes the place of one, which ends soon.

        Raises:
            NotFoundError: there is none that the caller may rotate.
            ConflictError: it has ended, or is an open page.
        """
        secret, now = self.new_secret(), self._clock()

        def work(transaction: Transaction) -> Token | RightsChange:
            token = _rotatable(transaction, token_id, caller, now)
            asked = self._asked(transaction, RightsAct.ROTATE, token, caller, now)
            return asked or self.rotate_now(transaction, token_id, caller, secret, now=now)

        return _answer(await self._store.write(work), secret, now)

    def rotate_now(
        self, transaction: Transaction, token_id: str, caller: Principal, secret: str, *, now: datetime
    ) -> Token:
        """As `rotate`, once nobody has to be asked any more."""
        token = _rotatable(transaction, token_id, caller, now)
        fresh, old = rotated(token, by=caller, chain=transaction.tokens.party(caller.subject).made_by, now=now)
        transaction.tokens.end(old)
        made = self._add(transaction, secret, fresh)
        transaction.audit.note(
            *(caller.subject, "rotate token", token.principal.subject, f"{token.id} by {made.id}", now),
            way=Way.TOKEN,
            roles=caller.roles,
        )
        return made

    async def revoke(self, token_id: str, caller: Principal) -> RightsChangeView | None:
        """End a token at once; once more is no error.

        Raises:
            NotFoundError: there is none that the caller may end.
            ConflictError: nobody could make a token afterwards.
        """
        now = self._clock()

        def work(transaction: Transaction) -> RightsChange | None:
            token = _of(transaction, token_id, caller)
            if token.revoked_at is not None:
                return None
            asked = self._asked(transaction, RightsAct.REVOKE, token, caller, now)
            if asked is None:
                self.revoke_now(transaction, token_id, by=caller.subject, roles=caller.roles, now=now)
            return asked

        change = await self._store.write(work)
        return change_view(change, now) if change is not None else None

    def revoke_now(
        self, transaction: Transaction, token_id: str, *, by: str, roles: Collection[Role], now: datetime
    ) -> None:
        """As `revoke`, once nobody has to be asked any more."""
        token = transaction.tokens.hold(token_id)
        if token is None:
            raise NotFoundError(f"there is no token {token_id}")
        if token.revoked_at is not None:
            return
        admins = {admin.id for admin in transaction.tokens.admins(now)}
        refusal = may_revoke(admins_left=len(admins - {token.id}), is_admin=_is_admin(token, now))
        if refusal is not None:
            raise ConflictError(refusal.value)
        transaction.tokens.end(replace(token, revoked_at=now, revoked_by=by))
        transaction.audit.note(
            *(by, "revoke token", token.principal.subject, token.id, now), way=Way.TOKEN, roles=roles
        )

    def _asked(
        self, transaction: Transaction, act: RightsAct, token: Token, caller: Principal, now: datetime
    ) -> RightsChange | None:
        principal = token.principal
        return self._changes.ask(
            transaction,
            act,
            caller,
            subject=principal.subject,
            roles=principal.roles,
            own=is_own_token(caller, principal),
            now=now,
            token_id=token.id,
        )

    def _add(self, transaction: Transaction, secret: str, token: Token) -> Token:
        return transaction.tokens.add(
            self._hash(secret),
            token.principal,
            now=token.created_at,
            expires_at=token.expires_at,
            name=token.name,
        )


def _of(transaction: Transaction, token_id: str, caller: Principal) -> Token:
    token = transaction.tokens.hold(token_id)
    if token is None or not (Role.ADMIN in caller.roles or is_own_token(caller, token.principal)):
        raise NotFoundError(f"there is no token {token_id}")
    return token


def _rotatable(transaction: Transaction, token_id: str, caller: Principal, now: datetime) -> Token:
    token = _of(transaction, token_id, caller)
    if token.principal.kind is TokenKind.SESSION or caller.kind is TokenKind.SESSION:
        raise ConflictError("an open page has no token to rotate")
    if token.principal.issuer != LOCAL:
        raise ConflictError("the provider's people sign in anew: a session can't be made longer here")
    unfit = fault_of(token, now)
    if unfit is not None:
        raise ConflictError(f"the token is {unfit}: make another one")
    return token


def _ordered(transaction: Transaction, order: TokenOrder, caller: Principal, now: datetime) -> Token:
    token = ordered(order, maker=caller, chain=transaction.tokens.party(caller.subject).made_by, now=now)
    _check(may_make(caller, token.principal, endless=order.endless))
    return token


def _answer(made: Token | RightsChange, secret: str, now: datetime) -> TokenView | RightsChangeView:
    return change_view(made, now) if isinstance(made, RightsChange) else token_view(made, secret)


def _is_admin(token: Token, now: datetime) -> bool:
    return Role.ADMIN in token.principal.roles and fault_of(token, now) is None


def _check(found: tuple[str, Refusal] | None) -> None:
    if found is None:
        return
    field, refusal = found
    if not field:
        raise ForbiddenError(refusal.value)
    raise RejectedError([Rejection(field=field, message=refusal.value)])


def token_view(token: Token, secret: str) -> TokenView:
    return TokenView(
        subject=token.principal.subject,
        token=secret,
        id=token.id,
        name=token.name,
        expires_at=token.expires_at,
    )


def token_summary(token: Token) -> TokenSummary:
    principal = token.principal
    return TokenSummary(
        id=token.id,
        name=token.name,
        issuer=principal.issuer,
        subject=principal.subject,
        owner=principal.owner,
        kind=principal.kind,
        roles=tuple(sorted(principal.roles)),
        site=principal.site,
        service=principal.service,
        made_by=principal.made_by,
        created_at=token.created_at,
        expires_at=token.expires_at,
        last_used_at=token.last_used_at,
        revoked_at=token.revoked_at,
        revoked_by=token.revoked_by,
    )

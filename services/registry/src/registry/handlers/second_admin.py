"""A second admin confirms or refuses a change of rights; whoever asked for a token then takes it."""

from collections.abc import Callable
from datetime import datetime
from typing import Final

import structlog

from certcore.audit import Way
from certcore.clock import Clock
from certcore.tokens import RightsAct, RightsChangeView, TokenView
from registry.adapters.store import Store, Transaction
from registry.domain.access import Party, Principal, require_person, same_person
from registry.domain.errors import ConflictError, NotFoundError
from registry.domain.rights_change import RightsChange, check_taken, confirmed, done, expired, refused
from registry.domain.token import Token
from registry.handlers.rights_changes import change_view, told_in_audit
from registry.handlers.tokens import Tokens, token_view

__all__ = ["SecondAdmin"]

log = structlog.get_logger()

_BATCH: Final = 100


class SecondAdmin:
    """The secret of a token is told to who asked for it, never to who confirms: it is made when it is taken."""

    def __init__(self, *, store: Store, tokens: Tokens, clock: Clock) -> None:
        self._store = store
        self._tokens = tokens
        self._clock = clock

    async def confirm(self, change_id: str, caller: Principal) -> RightsChangeView:
        """Agree as another admin. A revocation is done by that.

        Raises:
            NotFoundError: there is no such change.
            ForbiddenError: the caller may be who asked, or whom it is for.
            ConflictError: it was decided before, has expired, or can't be done any more.
        """
        require_person(caller)

        def decide(transaction: Transaction, change: RightsChange, now: datetime) -> RightsChange:
            asker, decider, subject = map(transaction.tokens.party, (change.asked_by, caller.subject, change.subject))
            decided = confirmed(
                change,
                by=caller.subject,
                asked=same_person(asker, decider),
                is_for=same_person(
                    Party(subject.subject, also=subject.also), Party(decider.subject, also=decider.also)
                ),
                now=now,
            )
            if change.act is not RightsAct.REVOKE:
                return decided
            self._tokens.revoke_now(transaction, _token_of(change), by=change.asked_by, roles=caller.roles, now=now)
            return done(decided)

        return await self._decided(change_id, caller, "confirm rights", decide)

    async def refuse(self, change_id: str, caller: Principal, *, reason: str) -> RightsChangeView:
        """Say no as any admin, also to what one asked for.

        Raises:
            NotFoundError: there is no such change.
            ConflictError: it was decided before, or has expired.
        """
        require_person(caller)
        return await self._decided(
            *(change_id, caller, "refuse rights"),
            lambda _, change, now: refused(change, by=caller.subject, reason=reason, now=now),
        )

    async def take(self, change_id: str, caller: Principal) -> TokenView:
        """The token of a change that was confirmed, once.

        Raises:
            NotFoundError: there is no such change.
            ForbiddenError: somebody else asked for it, or the caller could not ask for it any more.
            ConflictError: it isn't confirmed, or was taken, or has expired.
        """
        secret, now = self._tokens.new_secret(), self._clock()

        def work(transaction: Transaction) -> Token:
            change = _held(transaction, change_id)
            check_taken(change, subject=caller.subject, issuer=caller.issuer, now=now)
            if change.order is not None:
                token = self._tokens.make_now(transaction, change.order, caller, secret, now=now)
            else:
                token = self._tokens.rotate_now(transaction, _token_of(change), caller, secret, now=now)
            transaction.rights_changes.save(done(change, made_id=token.id))
            return token

        return token_view(await self._store.write(work), secret)

    async def expire(self) -> None:
        """Note what nobody decided on, or took, in time; a round."""

        def work(transaction: Transaction) -> int:
            now = self._clock()
            found = transaction.rights_changes.overdue(now=now, limit=_BATCH)
            for change in found:
                transaction.rights_changes.save(expired(change))
                transaction.audit.note(
                    "policy", "expire rights", change.subject, told_in_audit(change), now, way=Way.POLICY
                )
            return len(found)

        while await self._store.write(work) == _BATCH:
            log.info("rights_changes_expired", at_least=_BATCH)

    async def _decided(
        self,
        change_id: str,
        caller: Principal,
        action: str,
        decide: Callable[[Transaction, RightsChange, datetime], RightsChange],
    ) -> RightsChangeView:
        now = self._clock()

        def work(transaction: Transaction) -> RightsChange:
            change = decide(transaction, _held(transaction, change_id), now)
            transaction.rights_changes.save(change)
            detail = f"{told_in_audit(change)}, asked for by {change.asked_by}"
            detail += f": {change.reason}" if change.reason else ""
            transaction.audit.note(
                caller.subject, action, change.subject, detail, now, way=Way.TOKEN, roles=caller.roles
            )
            return change

        return change_view(await self._store.write(work), now)


def _held(transaction: Transaction, change_id: str) -> RightsChange:
    change = transaction.rights_changes.hold(change_id)
    if change is None:
        raise NotFoundError(f"there is no change of rights {change_id}")
    return change


def _token_of(change: RightsChange) -> str:
    if change.token_id is None:
        raise ConflictError(f"the change of rights {change.id} is about no token")
    return change.token_id

"""A change of rights that waits for a second admin: who may decide on it, and what becomes of it."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from certcore.api import Role
from certcore.policy.second_admin import SecondAdmin
from certcore.tokens import RightsAct, RightsState, TokenOrder
from registry.domain.errors import ConflictError, ForbiddenError

__all__ = ["Refusal", "RightsChange", "check_taken", "confirmed", "done", "expired", "refused", "waits"]


class Refusal(StrEnum):
    OWN = "a change of rights needs a second admin: who asked for it can't confirm it"
    FOR_THEMSELVES = "a change of rights needs a second admin: it can't be confirmed by whom it is for"
    NOT_THE_ASKER = "the token is handed to the admin who asked for it"


@dataclass(frozen=True)
class RightsChange:
    """`order` is of a token that is to be made, `token_id` of one that is to be rotated or revoked. `subject` is whom
    it is for, `roles` those of the token; `issuer` says who asked. `made_id` is the token that came of it.
    """

    id: str
    act: RightsAct
    subject: str
    roles: tuple[str, ...]
    asked_by: str
    issuer: str
    created_at: datetime
    expires_at: datetime
    order: TokenOrder | None = None
    token_id: str | None = None
    state: RightsState = RightsState.WAITING
    decided_by: str | None = None
    decided_at: datetime | None = None
    reason: str = ""
    made_id: str | None = None

    def state_at(self, now: datetime) -> RightsState:
        """As it stands: what waited too long has expired, also before a round has noted it."""
        over = self.state in {RightsState.WAITING, RightsState.CONFIRMED} and self.expires_at <= now
        return RightsState.EXPIRED if over else self.state


def waits(policy: SecondAdmin | None, act: RightsAct, roles: Collection[Role], *, own: bool) -> bool:
    """Whether it waits for a second admin. What people do with their own token gives nobody more than there was."""
    if policy is None or own or (act is RightsAct.REVOKE and not policy.revoking):
        return False
    return not {role.value for role in roles}.isdisjoint(policy.roles)


def confirmed(change: RightsChange, *, by: str, asked: bool, is_for: bool, now: datetime) -> RightsChange:
    """As it is once a second admin agreed. `asked`: they may be who asked; `is_for`: or whom it is for.

    Raises:
        ConflictError: it was decided before, or has expired.
        ForbiddenError: they are no second person.
    """
    _check_waits(change, now)
    if asked:
        raise ForbiddenError(Refusal.OWN.value)
    if is_for:
        raise ForbiddenError(Refusal.FOR_THEMSELVES.value)
    return replace(change, state=RightsState.CONFIRMED, decided_by=by, decided_at=now)


def refused(change: RightsChange, *, by: str, reason: str, now: datetime) -> RightsChange:
    """As it is once an admin said no: any, also who asked.

    Raises:
        ConflictError: it was decided before, or has expired.
    """
    _check_waits(change, now)
    return replace(change, state=RightsState.REFUSED, decided_by=by, decided_at=now, reason=reason)


def check_taken(change: RightsChange, *, subject: str, issuer: str, now: datetime) -> None:
    """Check that who asked may have the token now.

    Raises:
        ConflictError: nobody confirmed it, or it has expired.
        ForbiddenError: somebody else asked for it.
    """
    state = change.state_at(now)
    if state is not RightsState.CONFIRMED:
        raise ConflictError(f"this change of rights is {state}")
    if (subject, issuer) != (change.asked_by, change.issuer):
        raise ForbiddenError(Refusal.NOT_THE_ASKER.value)


def done(change: RightsChange, *, made_id: str | None = None) -> RightsChange:
    return replace(change, state=RightsState.DONE, made_id=made_id)


def expired(change: RightsChange) -> RightsChange:
    return replace(change, state=RightsState.EXPIRED)


def _check_waits(change: RightsChange, now: datetime) -> None:
    state = change.state_at(now)
    if state is not RightsState.WAITING:
        raise ConflictError(f"this change of rights is {state}")

"""Changes of rights that policy asks a second admin about are stored, and wait."""

from collections.abc import Callable, Collection
from datetime import datetime

from certcore.api import Role
from certcore.audit import Way
from certcore.tokens import RightsAct, RightsChangeView, TokenOrder
from registry.adapters.store import Transaction
from registry.domain.access import Principal
from registry.domain.rights_change import RightsChange, waits
from registry.handlers.policies import Policies

__all__ = ["RightsChanges", "change_view", "told_in_audit"]


class RightsChanges:
    def __init__(self, *, policies: Policies, new_id: Callable[[], str]) -> None:
        self._policies = policies
        self._new_id = new_id

    def ask(
        self,
        transaction: Transaction,
        act: RightsAct,
        caller: Principal,
        *,
        subject: str,
        roles: Collection[Role],
        own: bool,
        now: datetime,
        order: TokenOrder | None = None,
        token_id: str | None = None,
    ) -> RightsChange | None:
        """The change, stored, where it waits for a second admin; None where the caller makes it alone."""
        policy = self._policies.document(transaction)
        asked = policy.second_admin if policy is not None else None
        if asked is None or not waits(asked, act, roles, own=own):
            return None
        change = RightsChange(
            id=self._new_id(),
            act=act,
            subject=subject,
            roles=tuple(sorted(role.value for role in roles)),
            asked_by=caller.subject,
            issuer=caller.issuer,
            created_at=now,
            expires_at=now + asked.pending,
            order=order,
            token_id=token_id,
        )
        transaction.rights_changes.add(change)
        transaction.audit.note(
            *(caller.subject, "ask for rights", subject, told_in_audit(change), now),
            way=Way.TOKEN,
            roles=caller.roles,
        )
        return change


def told_in_audit(change: RightsChange) -> str:
    about = f" {change.token_id}" if change.token_id is not None else ""
    return f"{change.act} token{about} with {', '.join(change.roles) or 'no role'}: change {change.id}"


def change_view(change: RightsChange, now: datetime) -> RightsChangeView:
    return RightsChangeView(
        id=change.id,
        act=change.act,
        state=change.state_at(now),
        subject=change.subject,
        roles=change.roles,
        owner=change.order.owner if change.order is not None else "",
        days=change.order.days if change.order is not None else None,
        token_id=change.token_id,
        made_id=change.made_id,
        asked_by=change.asked_by,
        created_at=change.created_at,
        expires_at=change.expires_at,
        decided_by=change.decided_by,
        decided_at=change.decided_at,
        reason=change.reason,
    )

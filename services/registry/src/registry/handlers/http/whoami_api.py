"""Who calls: for a person who asks why something isn't allowed."""

from fastapi import APIRouter

from certcore.api import Role
from certcore.tokens import RoleView, WhoView
from registry.adapters.store import Store
from registry.domain.access import Principal, teams_where
from registry.handlers.http.auth import Caller

__all__ = ["whoami_router"]


def whoami_router(*, store: Store) -> APIRouter:
    router = APIRouter(tags=["tokens"])

    @router.get("/v1/whoami")
    async def whoami(caller: Caller) -> WhoView:
        """Who the caller is, and what they may do by the policy that holds now."""
        token = await store.read(lambda transaction: transaction.tokens.get(caller.token_id))
        return WhoView(
            issuer=caller.issuer,
            subject=caller.subject,
            name=token.name if token is not None else caller.subject,
            kind=caller.kind,
            token_id=caller.token_id,
            teams=tuple(sorted(caller.teams if caller.held is not None else {caller.owner})),
            roles=tuple(_role(caller, role) for role in Role if role in caller.roles),
            groups=tuple(sorted(caller.groups)),
            expires_at=token.expires_at if token is not None else None,
        )

    return router


def _role(caller: Principal, role: Role) -> RoleView:
    teams = teams_where(caller, role)
    return RoleView(role=role, teams=tuple(sorted(teams)) if teams is not None else None)

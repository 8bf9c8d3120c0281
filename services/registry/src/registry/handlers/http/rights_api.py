"""Changes of rights that wait for a second admin, over HTTP."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, status

from certcore.api import Decision, Page, Role
from certcore.clock import Clock
from certcore.tokens import RightsChangeView, TokenView
from registry.adapters.store import Store
from registry.domain.access import Principal
from registry.domain.approval import check_reason
from registry.handlers.http.auth import Admin, everywhere
from registry.handlers.http.paging import After, Limit, cursor_of, read_cursor, read_instant
from registry.handlers.http.repeats import without_key
from registry.handlers.rights_changes import change_view
from registry.handlers.second_admin import SecondAdmin

__all__ = ["rights_router"]

_Reader = Annotated[Principal, Depends(everywhere(Role.ADMIN, Role.AUDITOR))]


def rights_router(*, store: Store, second_admin: SecondAdmin, clock: Clock) -> APIRouter:
    router = APIRouter(prefix="/v1/rights-changes", tags=["tokens"])

    @router.get("")
    async def list_changes(
        _: _Reader, *, ended: Annotated[bool, Query()] = False, after: After = None, limit: Limit = 100
    ) -> Page[RightsChangeView]:
        """What waits for a second admin, or to be taken, newest first; with `ended` also what is over."""
        last, now = _read_cursor(after), clock()
        found = await store.read(
            lambda transaction: transaction.rights_changes.page(now=now, limit=limit, ended=ended, after=last)
        )
        further = cursor_of("rights", found[-1].created_at.isoformat(), found[-1].id) if len(found) == limit else None
        return Page[RightsChangeView](items=tuple(change_view(item, now) for item in found), next=further)

    @router.post("/{change_id}/confirm")
    async def confirm(change_id: str, caller: Admin) -> RightsChangeView:
        """Agree to what another admin asked for; not to what one asked for, nor to what is for oneself."""
        return await second_admin.confirm(change_id, caller)

    @router.post("/{change_id}/refuse")
    async def refuse(change_id: str, decision: Decision, caller: Admin) -> RightsChangeView:
        """Say no, as any admin."""
        check_reason(decision.reason)
        return await second_admin.refuse(change_id, caller, reason=decision.reason)

    @router.post("/{change_id}/take", status_code=status.HTTP_201_CREATED, dependencies=[Depends(without_key)])
    async def take(change_id: str, caller: Admin) -> TokenView:
        """The token that was confirmed, once, for the admin who asked for it. The answer alone has it."""
        return await second_admin.take(change_id, caller)

    return router


def _read_cursor(cursor: str | None) -> tuple[datetime, str] | None:
    if cursor is None:
        return None
    instant, change_id = read_cursor("rights", cursor, parts=2)
    return read_instant(instant), change_id

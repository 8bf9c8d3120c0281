"""Alerts over HTTP: those of the certificates, and those about the system itself."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query

from certcore.alerts import AlertState, AlertView
from certcore.api import Page
from registry.adapters.store import Store
from registry.domain.access import owner_listed
from registry.handlers.http.auth import Viewer
from registry.handlers.http.paging import After, Limit, cursor_of, read_cursor, read_instant
from registry.handlers.views import alert_view

__all__ = ["alerts_router"]


def alerts_router(*, store: Store) -> APIRouter:
    router = APIRouter(prefix="/v1/alerts", tags=["alerts"])

    @router.get("")
    async def list_alerts(
        caller: Viewer,
        *,
        state: Annotated[AlertState | None, Query()] = None,
        owner: Annotated[str | None, Query()] = None,
        after: After = None,
        limit: Limit = 100,
    ) -> Page[AlertView]:
        """Alerts, newest first: the caller's own team's; operators, approvers and auditors see everybody's."""
        last = _read_cursor(after)
        listed = owner_listed(caller, owner)
        is_open = None if state is None else state is AlertState.OPEN
        found = await store.read(
            lambda transaction: transaction.alerts.page(after=last, limit=limit, owners=listed, is_open=is_open)
        )
        further = cursor_of("alerts", found[-1].since.isoformat(), found[-1].id) if len(found) == limit else None
        return Page[AlertView](items=tuple(map(alert_view, found)), next=further)

    return router


def _read_cursor(cursor: str | None) -> tuple[datetime, str] | None:
    if cursor is None:
        return None
    instant, alert_id = read_cursor("alerts", cursor, parts=2)
    return read_instant(instant), alert_id

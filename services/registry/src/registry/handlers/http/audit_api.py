"""The audit over HTTP, for auditors."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime

from certcore.api import Page
from certcore.audit import AuditEntry
from certcore.rejection import RejectedError, Rejection
from registry.adapters.store import Store
from registry.adapters.store.audit import AuditFilter
from registry.handlers.audit import AuditReading
from registry.handlers.http.auth import Auditor
from registry.handlers.http.paging import After, Limit, cursor_of, read_cursor

__all__ = ["audit_router"]

_AUDIT: Final = "audit"

_LINES: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"application/x-ndjson": {"schema": {"type": "string"}}}}
}

Word = Annotated[str | None, Query(max_length=255)]


def audit_router(*, store: Store, reading: AuditReading) -> APIRouter:
    router = APIRouter(prefix="/v1/audit", tags=["audit"])

    @router.get("")
    async def list_entries(
        _: Auditor,
        *,
        actor: Word = None,
        action: Word = None,
        about: Annotated[str | None, Query(alias="object", max_length=255)] = None,
        since: AwareDatetime | None = None,
        until: AwareDatetime | None = None,
        after: After = None,
        limit: Limit = 100,
    ) -> Page[AuditEntry]:
        """Who did what, newest first. `since` is included, `until` is not."""
        wanted = AuditFilter(actor=actor, action=action, object=about, since=since, until=until)
        before = _read_cursor(after)
        found = await store.read(lambda transaction: transaction.audit.page(wanted, before=before, limit=limit))
        further = cursor_of(_AUDIT, str(found[-1][0])) if len(found) == limit else None
        return Page[AuditEntry](items=tuple(entry for _, entry in found), next=further)

    @router.get("/export", response_class=StreamingResponse, responses=_LINES)
    async def export(_: Auditor) -> StreamingResponse:
        """All of it, oldest first, as lines of JSON; at the end the heads of its chains and their anchors."""
        return StreamingResponse(await reading.export(), media_type="application/x-ndjson")

    return router


def _read_cursor(cursor: str | None) -> int | None:
    (place,) = read_cursor(_AUDIT, cursor)
    if cursor is None:
        return None
    if not (place.isascii() and place.isdigit() and len(place) < 19):
        raise RejectedError([Rejection(field="after", message="is no cursor of this list")])
    return int(place)

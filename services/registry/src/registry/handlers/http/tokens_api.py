"""Tokens over HTTP: an admin's business, and everybody's own."""

from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Response, status

from certcore.api import Page, Role
from certcore.clock import Clock
from certcore.tokens import RightsChangeView, TokenOrder, TokenSummary, TokenView
from registry.adapters.store import Store
from registry.handlers.http.auth import Admin, Caller
from registry.handlers.http.paging import After, Limit, cursor_of, read_cursor, read_instant
from registry.handlers.http.repeats import without_key
from registry.handlers.tokens import Tokens, token_summary

__all__ = ["tokens_router"]

_WAITS: Final[dict[int | str, dict[str, Any]]] = {
    202: {"model": RightsChangeView, "description": "Policy asks a second admin: see /v1/rights-changes."},
}


def tokens_router(*, store: Store, tokens: Tokens, clock: Clock) -> APIRouter:
    router = APIRouter(prefix="/v1/tokens", tags=["tokens"])

    @router.get("")
    async def list_tokens(
        caller: Caller, *, ended: Annotated[bool, Query()] = False, after: After = None, limit: Limit = 100
    ) -> Page[TokenSummary]:
        """Tokens, newest first: an admin sees everybody's, others their own. With `ended` also those that expired or
        were revoked.
        """
        last, of = _read_cursor(after), None if Role.ADMIN in caller.roles else caller
        found = await store.read(
            lambda transaction: transaction.tokens.page(now=clock(), limit=limit, of=of, ended=ended, after=last)
        )
        further = cursor_of("tokens", found[-1].created_at.isoformat(), found[-1].id) if len(found) == limit else None
        return Page[TokenSummary](items=tuple(map(token_summary, found)), next=further)

    @router.post(
        "",
        status_code=status.HTTP_201_CREATED,
        response_model=TokenView,
        responses=_WAITS,
        dependencies=[Depends(without_key)],
    )
    async def make_token(order: TokenOrder, caller: Admin) -> TokenView | Response:
        """Make a token. The answer alone has it; the registry stores only its hash. It lives for 90 days, or as
        many as are asked for, 366 at most; a service's for 366, or without an end where that is asked for.
        """
        return _made(await tokens.make(order, caller))

    @router.post(
        "/{token_id}/rotate",
        status_code=status.HTTP_201_CREATED,
        response_model=TokenView,
        responses=_WAITS,
        dependencies=[Depends(without_key)],
    )
    async def rotate_token(token_id: str, caller: Caller) -> TokenView | Response:
        """A new token for this one, which ends within an hour: an admin's act, and everybody's on their own. An
        admin's gives it a new life; one's own ends when the old one would have.
        """
        return _made(await tokens.rotate(token_id, caller))

    @router.delete("/{token_id}", status_code=status.HTTP_204_NO_CONTENT, response_class=Response, responses=_WAITS)
    async def revoke_token(token_id: str, caller: Caller) -> Response:
        """End a token at once: an admin's act, and everybody's on their own. The last one with the role
        admin stays.
        """
        change = await tokens.revoke(token_id, caller)
        return _waiting(change) if change is not None else Response(status_code=status.HTTP_204_NO_CONTENT)

    return router


def _made(answer: TokenView | RightsChangeView) -> TokenView | Response:
    return answer if isinstance(answer, TokenView) else _waiting(answer)


def _waiting(change: RightsChangeView) -> Response:
    body = change.model_dump_json()
    return Response(body, status_code=status.HTTP_202_ACCEPTED, media_type="application/json")


def _read_cursor(cursor: str | None) -> tuple[datetime, str] | None:
    if cursor is None:
        return None
    instant, token_id = read_cursor("tokens", cursor, parts=2)
    return read_instant(instant), token_id

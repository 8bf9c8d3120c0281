"""Requests over HTTP. The body is read by certcore, so that API and bus refuse the same with the same words."""

from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response, status

from certcore.api import Page, RequestState, RequestView
from certcore.door import RequestDoor
from registry.adapters.outbox import Bell
from registry.adapters.store import Store, Transaction
from registry.domain.access import Principal, owner_for, owner_listed, sees
from registry.domain.certificate import Request as CertificateRequest
from registry.domain.claim import contested
from registry.domain.errors import NotFoundError
from registry.domain.keyed import Answer
from registry.handlers.http.auth import Requester, Viewer
from registry.handlers.http.decisions_api import stored_view
from registry.handlers.http.paging import After, Limit, cursor_of, read_cursor, read_instant
from registry.handlers.http.repeats import Keyed, Repeats
from registry.handlers.requests import Requests
from registry.handlers.views import request_view

__all__ = ["requests_router"]

_ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    200: {"model": RequestView, "description": "What the team has already, or what a dry run found."},
}


def requests_router(
    *, store: Store, requests: Requests, door: RequestDoor, bell: Bell, repeats: Repeats
) -> APIRouter:
    router = APIRouter(prefix="/v1/requests", tags=["requests"])
    schema = door.model.model_json_schema(ref_template="#/components/schemas/{model}")
    body = {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}

    @router.post(
        "",
        status_code=status.HTTP_202_ACCEPTED,
        response_model=RequestView,
        openapi_extra=body,
        responses=_ANSWERS,
    )
    async def submit(
        request: Request, caller: Requester, key: Keyed, *, dry_run: Annotated[bool, Query()] = False
    ) -> Response:
        """Ask for a certificate. What the team has already, waiting or active, is answered as it is; what was denied,
        or expired, is asked for anew. With `dry_run` everything is checked and nothing is stored.
        """
        spec = door.read(await request.body())
        owner = owner_for(spec, caller)

        def work(transaction: Transaction) -> Answer:
            done = requests.submit(transaction, spec, owner=owner, by=caller)
            given = () if done.is_new else transaction.votes.given(done.request.id)
            if dry_run:
                transaction.roll_back()
            view = request_view(done.request, done.certificate, given)
            found = status.HTTP_200_OK if dry_run or not done.is_new else status.HTTP_202_ACCEPTED
            return Answer(found, view.model_dump_json(), "" if dry_run else f"/v1/requests/{done.request.id}")

        answer = await repeats.answered(caller, key, work, dry_run=dry_run, held=contested(spec))
        bell.ring()
        return answer

    @router.get("")
    async def list_requests(
        caller: Viewer,
        state: Annotated[RequestState | None, Query()] = None,
        after: After = None,
        limit: Limit = 100,
    ) -> Page[RequestView]:
        """Requests, newest first."""
        last = _read_cursor(after)
        listed = owner_listed(caller, None)

        def work(transaction: Transaction) -> tuple[list[CertificateRequest], tuple[RequestView, ...]]:
            found = transaction.requests.page(after=last, limit=limit, owners=listed, state=state)
            certificates = {
                item.id: item for item in transaction.certificates.many({item.certificate_id for item in found})
            }
            given = transaction.votes.given_to([item.id for item in found])
            return found, tuple(
                request_view(item, certificates[item.certificate_id], given.get(item.id, ())) for item in found
            )

        found, items = await store.read(work)
        further = (
            cursor_of("requests", found[-1].created_at.isoformat(), found[-1].id) if len(found) == limit else None
        )
        return Page[RequestView](items=items, next=further)

    @router.get("/{request_id}")
    async def show(request_id: str, caller: Viewer) -> RequestView:
        return await store.read(
            lambda transaction: stored_view(transaction, _visible(transaction, request_id, caller))
        )

    return router


def _read_cursor(cursor: str | None) -> tuple[datetime, str] | None:
    if cursor is None:
        return None
    instant, request_id = read_cursor("requests", cursor, parts=2)
    return read_instant(instant), request_id


def _visible(transaction: Transaction, request_id: str, caller: Principal) -> CertificateRequest:
    found = transaction.requests.get(request_id)
    if found is None or not sees(caller, found.owner):
        raise NotFoundError(f"there is no request {request_id}")
    return found

"""Requests over HTTP. The body is read by certcore, so that API and bus refuse the same with the same words."""

from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response, status

from certcore.api import Decision, Page, Problem, RequestState, RequestView
from certcore.door import RequestDoor
from certcore.rejection import RejectedError, Rejection
from registry.adapters.outbox import Bell
from registry.adapters.store import Store, Transaction
from registry.domain.access import Principal, owner_for, owner_listed, sees
from registry.domain.approval import check_reason
from registry.domain.certificate import Request as CertificateRequest
from registry.domain.decision import Decision as Submitted
from registry.domain.errors import NotFoundError
from registry.handlers.changes import again_if_changed
from registry.handlers.http.auth import Approver, Requester, Viewer
from registry.handlers.http.paging import After, Limit, cursor_of, read_cursor, read_instant
from registry.handlers.requests import Requests
from registry.handlers.views import request_view

__all__ = ["requests_router"]

_REFUSED: Final[dict[int | str, dict[str, Any]]] = {
    422: {"model": Problem, "description": "Fields at fault, each by name; nothing was stored."},
    409: {"model": Problem, "description": "The name is taken."},
}


def requests_router(*, store: Store, requests: Requests, door: RequestDoor, bell: Bell) -> APIRouter:
    router = APIRouter(prefix="/v1/requests", tags=["requests"])
    schema = door.model.model_json_schema(ref_template="#/components/schemas/{model}")
    body = {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}

    @router.post("", status_code=status.HTTP_202_ACCEPTED, openapi_extra=body, responses=_REFUSED)
    async def submit(
        request: Request, response: Response, caller: Requester, *, dry_run: Annotated[bool, Query()] = False
    ) -> RequestView:
        """Ask for a certificate. What the team has already, waiting or active, is answered with 200 as it is; what was
        denied, or expired, is asked for anew. With `dry_run` everything is checked and nothing is stored.
        """
        spec = door.read(await request.body())
        owner = owner_for(spec, caller)

        def work(transaction: Transaction) -> tuple[Submitted, RequestView]:
            done = requests.submit(transaction, spec, owner=owner, by=caller)
            given = () if done.is_new else transaction.votes.given(done.request.id)
            if dry_run:
                transaction.roll_back()
            return done, request_view(done.request, done.certificate, given)

        done, answer = await again_if_changed(store, work)
        if dry_run or not done.is_new:
            response.status_code = status.HTTP_200_OK
        if not dry_run:
            bell.ring()
            response.headers["location"] = f"/v1/requests/{done.request.id}"
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
            found = transaction.requests.page(after=last, limit=limit, owner=listed, state=state)
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
        return await store.read(lambda transaction: _view(transaction, _visible(transaction, request_id, caller)))

    @router.post("/{request_id}/approve")
    async def approve(request_id: str, decision: Decision, caller: Approver) -> RequestView:
        """Give a waiting request an approval; not for one's own. Where policy asks for more, it waits on."""
        check_reason(decision.reason)

        def work(transaction: Transaction) -> RequestView:
            done = requests.approve(transaction, request_id, person=caller, comment=decision.reason)
            return _view(transaction, done.request)

        answer = await again_if_changed(store, work)
        bell.ring()
        return answer

    @router.post("/{request_id}/deny")
    async def deny(request_id: str, decision: Decision, caller: Approver) -> RequestView:
        """Refuse a waiting request, with the reason that its requester reads."""
        check_reason(decision.reason)
        if not decision.reason.strip():
            raise RejectedError([Rejection(field="reason", message="is missing: say why it is denied")])

        def work(transaction: Transaction) -> RequestView:
            done = requests.deny(transaction, request_id, person=caller, reason=decision.reason)
            return _view(transaction, done.request)

        answer = await again_if_changed(store, work)
        bell.ring()
        return answer

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


def _view(transaction: Transaction, found: CertificateRequest) -> RequestView:
    certificate = transaction.certificates.get(found.certificate_id)
    assert certificate is not None, "a request and its certificate are stored together"
    return request_view(found, certificate, transaction.votes.given(found.id))

"""Decisions on requests over HTTP, by people with the role approver."""

from fastapi import APIRouter, Response, status

from certcore.api import Decision, RequestView
from certcore.rejection import RejectedError, Rejection
from registry.adapters.outbox import Bell
from registry.adapters.store import Transaction
from registry.domain.approval import check_reason
from registry.domain.certificate import Request
from registry.domain.keyed import Answer
from registry.handlers.http.auth import Approver
from registry.handlers.http.repeats import Keyed, Repeats
from registry.handlers.requests import Requests
from registry.handlers.views import request_view

__all__ = ["decisions_router", "stored_view"]


def decisions_router(*, requests: Requests, bell: Bell, repeats: Repeats) -> APIRouter:
    router = APIRouter(prefix="/v1/requests", tags=["requests"])

    @router.post("/{request_id}/approve", response_model=RequestView)
    async def approve(request_id: str, decision: Decision, caller: Approver, key: Keyed) -> Response:
        """Give a waiting request an approval; not for one's own. Where policy asks for more, it waits on."""
        check_reason(decision.reason)

        def work(transaction: Transaction) -> Answer:
            done = requests.approve(transaction, request_id, person=caller, comment=decision.reason)
            return _answer(transaction, done.request)

        answer = await repeats.answered(caller, key, work)
        bell.ring()
        return answer

    @router.post("/{request_id}/deny", response_model=RequestView)
    async def deny(request_id: str, decision: Decision, caller: Approver, key: Keyed) -> Response:
        """Refuse a waiting request, with the reason that its requester reads."""
        check_reason(decision.reason)
        if not decision.reason.strip():
            raise RejectedError([Rejection(field="reason", message="is missing: say why it is denied")])

        def work(transaction: Transaction) -> Answer:
            done = requests.deny(transaction, request_id, person=caller, reason=decision.reason)
            return _answer(transaction, done.request)

        answer = await repeats.answered(caller, key, work)
        bell.ring()
        return answer

    return router


def stored_view(transaction: Transaction, found: Request) -> RequestView:
    certificate = transaction.certificates.get(found.certificate_id)
    assert certificate is not None, "a request and its certificate are stored together"
    return request_view(found, certificate, transaction.votes.given(found.id))


def _answer(transaction: Transaction, found: Request) -> Answer:
    return Answer(status.HTTP_200_OK, stored_view(transaction, found).model_dump_json())

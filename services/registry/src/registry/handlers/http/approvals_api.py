"""A new approval of a certificate, asked for before the present one ends."""

from fastapi import APIRouter, Response, status

from certcore.api import RequestView
from registry.adapters.outbox import Bell
from registry.adapters.store import Transaction
from registry.domain.access import acts_for
from registry.domain.errors import NotFoundError
from registry.domain.keyed import Answer
from registry.handlers.http.auth import Requester
from registry.handlers.http.repeats import Keyed, Repeats
from registry.handlers.requests import Requests
from registry.handlers.views import request_view

__all__ = ["approvals_router"]


def approvals_router(*, requests: Requests, bell: Bell, repeats: Repeats) -> APIRouter:
    router = APIRouter(prefix="/v1/certificates", tags=["certificates"])

    @router.post("/{name}/approval", status_code=status.HTTP_202_ACCEPTED, response_model=RequestView)
    async def reapprove(name: str, caller: Requester, key: Keyed) -> Response:
        """Ask for a new approval of the certificate as it is; renewals cite it once it is given."""

        def work(transaction: Transaction) -> Answer:
            certificate = transaction.certificates.named(name)
            if certificate is None or not acts_for(caller, certificate.owner):
                raise NotFoundError(f"there is no certificate {name}")
            done = requests.ask_again(transaction, certificate, by=caller)
            view = request_view(done.request, done.certificate, transaction.votes.given(done.request.id))
            return Answer(status.HTTP_202_ACCEPTED, view.model_dump_json())

        answer = await repeats.answered(caller, key, work, held=[f"approval of {name}"])
        bell.ring()
        return answer

    return router

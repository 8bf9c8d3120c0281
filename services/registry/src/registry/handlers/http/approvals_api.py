"""A new approval of a certificate, asked for before the present one ends."""

from fastapi import APIRouter, status

from certcore.api import RequestView
from registry.adapters.outbox import Bell
from registry.adapters.store import Store, Transaction
from registry.domain.access import acts_for
from registry.domain.errors import NotFoundError
from registry.handlers.http.auth import Requester
from registry.handlers.requests import Requests
from registry.handlers.views import request_view

__all__ = ["approvals_router"]


def approvals_router(*, store: Store, requests: Requests, bell: Bell) -> APIRouter:
    router = APIRouter(prefix="/v1/certificates", tags=["certificates"])

    @router.post("/{name}/approval", status_code=status.HTTP_202_ACCEPTED)
    async def reapprove(name: str, caller: Requester) -> RequestView:
        """Ask for a new approval of the certificate as it is; renewals cite it once it is given."""

        def work(transaction: Transaction) -> RequestView:
            certificate = transaction.certificates.named(name)
            if certificate is None or not acts_for(caller, certificate.owner):
                raise NotFoundError(f"there is no certificate {name}")
            done = requests.ask_again(transaction, certificate, by=caller)
            return request_view(done.request, done.certificate, transaction.votes.given(done.request.id))

        answer = await store.write(work, held=[f"approval of {name}"])
        bell.ring()
        return answer

    return router

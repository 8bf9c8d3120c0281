"""Renewals that a person asks for."""

from fastapi import APIRouter, Response, status

from certcore.api import RenewalAnswer, Role
from registry.adapters.outbox import Bell
from registry.adapters.store import Transaction
from registry.domain.errors import NotFoundError
from registry.domain.keyed import Answer
from registry.handlers.http.auth import Requester
from registry.handlers.http.certificates_api import visible_certificate
from registry.handlers.http.repeats import Keyed, Repeats
from registry.handlers.renewals import Renewals

__all__ = ["renewals_router"]


def renewals_router(*, renewals: Renewals, bell: Bell, repeats: Repeats) -> APIRouter:
    router = APIRouter(prefix="/v1/certificates", tags=["certificates"])

    @router.post("/{name}/renew", status_code=status.HTTP_202_ACCEPTED, response_model=RenewalAnswer)
    async def renew(name: str, caller: Requester, key: Keyed) -> Response:
        """Order the next revision now. One that is being issued already is answered as such."""

        def work(transaction: Transaction) -> Answer:
            found = visible_certificate(transaction, name, caller)
            if found.owner != caller.owner and Role.OPERATOR not in caller.roles:
                raise NotFoundError(f"there is no certificate {name}")
            certificate, decision = renewals.renew_now(transaction, name, person=caller.subject)
            view = RenewalAnswer(
                certificate_id=certificate.id,
                name=certificate.name,
                revision=certificate.ordered,
                state=certificate.state,
                reason=decision.reason,
            )
            return Answer(status.HTTP_202_ACCEPTED, view.model_dump_json())

        answer = await repeats.answered(caller, key, work)
        bell.ring()
        return answer

    return router

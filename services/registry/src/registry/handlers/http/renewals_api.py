"""Renewals that a person asks for."""

from typing import Annotated

from fastapi import APIRouter, Query, Response, status

from certcore.api import RenewalAnswer
from registry.adapters.outbox import Bell
from registry.adapters.store import Transaction
from registry.domain.access import acts_for, operates_for
from registry.domain.errors import ForbiddenError, NotFoundError
from registry.domain.keyed import Answer
from registry.handlers.http.auth import Requester
from registry.handlers.http.certificates_api import visible_certificate
from registry.handlers.http.repeats import Keyed, Repeats
from registry.handlers.renewals import Renewals

__all__ = ["renewals_router"]


def renewals_router(*, renewals: Renewals, bell: Bell, repeats: Repeats) -> APIRouter:
    router = APIRouter(prefix="/v1/certificates", tags=["certificates"])

    @router.post("/{name}/renew", status_code=status.HTTP_202_ACCEPTED, response_model=RenewalAnswer)
    async def renew(
        name: str,
        caller: Requester,
        key: Keyed,
        *,
        even_in_freeze: Annotated[
            bool, Query(description="Also where a freeze of the policy holds it; for operators.")
        ] = False,
    ) -> Response:
        """Order the next revision now. One that is being issued already is answered as such."""

        def work(transaction: Transaction) -> Answer:
            found = visible_certificate(transaction, name, caller)
            if even_in_freeze and not operates_for(caller, found.owner):
                raise ForbiddenError(f"{caller.subject} needs the role operator for team {found.owner}")
            if not acts_for(caller, found.owner):
                raise NotFoundError(f"there is no certificate {name}")
            certificate, decision = renewals.renew_now(
                transaction, name, person=caller.subject, even_in_freeze=even_in_freeze
            )
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

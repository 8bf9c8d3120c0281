from typing import Annotated

from fastapi import APIRouter, Query, status

from certcore.api import CertificateState, CertificateSummary, CertificateView, RenewalAnswer, Role
from registry.adapters.outbox import Bell
from registry.adapters.store import Store, Transaction
from registry.domain.access import Principal, sees
from registry.domain.certificate import Certificate
from registry.domain.errors import NotFoundError
from registry.handlers.http.auth import Requester, Viewer
from registry.handlers.renewals import Renewals
from registry.handlers.views import certificate_summary, certificate_view

__all__ = ["certificates_router"]


def certificates_router(*, store: Store, renewals: Renewals, bell: Bell) -> APIRouter:
    router = APIRouter(prefix="/v1/certificates", tags=["certificates"])

    @router.get("")
    async def list_certificates(
        caller: Viewer,
        owner: Annotated[str | None, Query()] = None,
        state: Annotated[CertificateState | None, Query()] = None,
    ) -> list[CertificateSummary]:
        """Certificates by name, with how far the newest revision has come."""
        async with store.transaction() as transaction:
            found = await transaction.certificates.all(owner=owner, states=(state,) if state else ())
            return [await certificate_summary(transaction, item) for item in found if sees(caller, item.owner)]

    @router.get("/{name}")
    async def show(name: str, caller: Viewer) -> CertificateView:
        """One certificate, with its grid of targets and endpoints and the reason for which it waits."""
        async with store.transaction() as transaction:
            return await certificate_view(transaction, await _visible(transaction, name, caller))

    @router.post("/{name}/renew", status_code=status.HTTP_202_ACCEPTED)
    async def renew(name: str, caller: Requester) -> RenewalAnswer:
        """Order the next revision now. One that is being issued already is answered as such."""
        async with store.transaction() as transaction:
            found = await _visible(transaction, name, caller)
        if found.owner != caller.owner and Role.OPERATOR not in caller.roles:
            raise NotFoundError(f"there is no certificate {name}")
        certificate, decision = await renewals.renew_now(name, person=caller.subject)
        bell.ring()
        return RenewalAnswer(
            certificate_id=certificate.id,
            name=certificate.name,
            revision=certificate.ordered,
            state=certificate.state,
            reason=decision.reason,
        )

    return router


async def _visible(transaction: Transaction, name: str, caller: Principal) -> Certificate:
    certificate = await transaction.certificates.named(name)
    if certificate is None or not sees(caller, certificate.owner):
        raise NotFoundError(f"there is no certificate {name}")
    return certificate

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query, status

from certcore.api import CertificateState, CertificateSummary, CertificateView, Page, RenewalAnswer, RequestView, Role
from certcore.conditions import Health
from registry.adapters.outbox import Bell
from registry.adapters.store import Store, Transaction
from registry.domain.access import Principal, owner_listed, sees
from registry.domain.certificate import Certificate
from registry.domain.errors import NotFoundError
from registry.handlers.changes import again_if_changed
from registry.handlers.http.auth import Requester, Viewer
from registry.handlers.http.paging import After, Limit, cursor_of, read_cursor
from registry.handlers.renewals import Renewals
from registry.handlers.requests import Requests
from registry.handlers.views import certificate_summary, certificate_view, request_view

__all__ = ["certificates_router"]


def certificates_router(*, store: Store, requests: Requests, renewals: Renewals, bell: Bell) -> APIRouter:
    router = APIRouter(prefix="/v1/certificates", tags=["certificates"])

    @router.get("")
    async def list_certificates(
        caller: Viewer,
        *,
        owner: Annotated[str | None, Query()] = None,
        state: Annotated[CertificateState | None, Query()] = None,
        health: Annotated[Health | None, Query()] = None,
        after: After = None,
        limit: Limit = 100,
    ) -> Page[CertificateSummary]:
        """Certificates by name, with their health and how far the newest revision has come."""
        (last,) = read_cursor("certificates", after)
        listed = owner_listed(caller, owner)

        def work(transaction: Transaction) -> tuple[Sequence[Certificate], tuple[CertificateSummary, ...]]:
            found = transaction.certificates.page(after=last, limit=limit, owner=listed, state=state, health=health)
            return found, tuple(certificate_summary(rollout) for rollout in transaction.rollouts.many(found))

        found, items = await store.read(work)
        return Page[CertificateSummary](
            items=items, next=cursor_of("certificates", found[-1].name) if len(found) == limit else None
        )

    @router.get("/{name}")
    async def show(name: str, caller: Viewer) -> CertificateView:
        """One certificate, with its grid of targets and endpoints and the reason for which it waits."""

        def work(transaction: Transaction) -> CertificateView:
            certificate = _visible(transaction, name, caller)
            rollout = transaction.rollouts.of(certificate)
            approval = transaction.approvals.get(certificate.approval_id)
            return certificate_view(rollout, approval, transaction.probe_workers.all())

        return await store.read(work)

    @router.post("/{name}/renew", status_code=status.HTTP_202_ACCEPTED)
    async def renew(name: str, caller: Requester) -> RenewalAnswer:
        """Order the next revision now. One that is being issued already is answered as such."""
        found = await store.read(lambda transaction: _visible(transaction, name, caller))
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

    @router.post("/{name}/approval", status_code=status.HTTP_202_ACCEPTED)
    async def reapprove(name: str, caller: Requester) -> RequestView:
        """Ask for a new approval of the certificate as it is; renewals cite it once it is given."""

        def work(transaction: Transaction) -> RequestView:
            certificate = _visible(transaction, name, caller)
            if certificate.owner != caller.owner and Role.OPERATOR not in caller.roles:
                raise NotFoundError(f"there is no certificate {name}")
            done = requests.ask_again(transaction, certificate, by=caller)
            return request_view(done.request, done.certificate, transaction.votes.given(done.request.id))

        answer = await again_if_changed(store, work)
        bell.ring()
        return answer

    return router


def _visible(transaction: Transaction, name: str, caller: Principal) -> Certificate:
    certificate = transaction.certificates.named(name)
    if certificate is None or not sees(caller, certificate.owner):
        raise NotFoundError(f"there is no certificate {name}")
    return certificate

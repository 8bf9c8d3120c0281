"""What the other services call: hand over and fetch bundles, and ask for everything that they should know."""

from typing import Annotated

from fastapi import APIRouter, Path, status

from certcore.bundles import IssuedBundle, SealedBundle
from certcore.events import DeploymentOrdered, EndpointsExpected
from registry.adapters.store import Store
from registry.domain.deployment import deployments
from registry.domain.rollout import expectation
from registry.handlers.bundles import Bundles
from registry.handlers.http.auth import Caller, DelivererService, IssuerService, MonitorService

__all__ = ["services_router"]

# As far as a database's integer goes.
RevisionNumber = Annotated[int, Path(ge=1, le=2**31 - 1)]


def services_router(*, store: Store, bundles: Bundles) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["services"])

    @router.put("/bundles/{certificate_id}/{revision}", status_code=status.HTTP_204_NO_CONTENT)
    async def store_bundle(
        certificate_id: str, revision: RevisionNumber, issued: IssuedBundle, caller: IssuerService
    ) -> None:
        """Hand over an issued revision with its sealed keys."""
        await bundles.store(certificate_id, revision, issued, actor=caller.subject)

    @router.get("/bundles/{certificate_id}/{revision}")
    async def fetch_bundle(certificate_id: str, revision: RevisionNumber, caller: Caller) -> SealedBundle:
        """The bundle that is sealed to the caller. Unknown and forbidden are the same 404; every fetch is audited."""
        return await bundles.fetch(certificate_id, revision, caller)

    @router.get("/deployments")
    async def list_deployments(caller: DelivererService) -> list[DeploymentOrdered]:
        """Everything that the caller should hold, each certificate at its newest revision."""
        found = []
        async with store.transaction() as transaction:
            own = await transaction.deliveries.at(caller.site or "", caller.service)
            for certificate_id in sorted({delivery.certificate_id for delivery in own}):
                certificate = await transaction.certificates.get(certificate_id)
                revision = (
                    await transaction.revisions.get(certificate_id, certificate.wanted) if certificate else None
                )
                if certificate is None or revision is None:
                    continue
                sealed = await transaction.revisions.sealed_keys(certificate_id, revision.number)
                found += [
                    deployment.order
                    for deployment in deployments(certificate, revision, sealed)
                    if (deployment.site, deployment.service) == (caller.site, caller.service)
                ]
        return found

    @router.get("/expectations")
    async def list_expectations(_: MonitorService) -> list[EndpointsExpected]:
        """What each endpoint should serve."""
        async with store.transaction() as transaction:
            return [
                expectation(certificate, await transaction.revisions.of(certificate.id))
                for certificate in await transaction.certificates.all()
                if certificate.wanted > 0
            ]

    return router

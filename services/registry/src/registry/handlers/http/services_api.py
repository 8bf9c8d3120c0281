"""The API for the other services: store and fetch bundles, and read levels."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, status

from certcore.api import Page, ServiceView
from certcore.bundles import IssuedBundle, SealedBundle
from certcore.clock import Clock
from certcore.events import CsrWanted, DeploymentOrdered, EndpointsExpected
from certcore.names import Label
from certcore.placements import PLATFORM
from registry.adapters.store import Store, Transaction
from registry.handlers.bundles import Bundles
from registry.handlers.deployments import Deployments
from registry.handlers.http.auth import Caller, DelivererService, IssuerService, MonitorService, Viewer
from registry.handlers.http.paging import After, Limit, cursor_of, read_cursor
from registry.handlers.views import service_views

__all__ = ["services_router"]

# The range of a database's integer.
RevisionNumber = Annotated[int, Path(ge=1, le=2**31 - 1)]
Variant = Annotated[Label, Query(description="Whose key it is: platform, or the name of a target that made its own.")]


def services_router(*, store: Store, bundles: Bundles, levels: Deployments, clock: Clock) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["services"])

    @router.get("/services")
    async def list_services(_: Viewer) -> Page[ServiceView]:
        """Every service at every place, with its last heartbeat; `silent` where one should have come since."""
        sites, seen = await store.read(lambda transaction: (transaction.sites.all(), transaction.services.all()))
        return Page[ServiceView](items=tuple(service_views(sites, seen, clock())))

    @router.put("/bundles/{certificate_id}/{revision}", status_code=status.HTTP_204_NO_CONTENT)
    async def store_bundle(
        certificate_id: str,
        revision: RevisionNumber,
        issued: IssuedBundle,
        caller: IssuerService,
        variant: Variant = PLATFORM,
    ) -> None:
        """Hand over an issued X.509 certificate with its sealed keys."""
        await bundles.store(certificate_id, revision, variant, issued, actor=caller.subject)

    @router.get("/bundles/{certificate_id}/{revision}")
    async def fetch_bundle(
        certificate_id: str, revision: RevisionNumber, caller: Caller, variant: Variant = PLATFORM
    ) -> SealedBundle:
        """The bundle that is sealed to the caller. Unknown and forbidden are the same 404; every fetch is audited."""
        return await bundles.fetch(certificate_id, revision, variant, caller)

    @router.get("/deployments")
    async def list_deployments(
        caller: DelivererService, after: After = None, limit: Limit = 100
    ) -> Page[DeploymentOrdered]:
        """Everything that the caller should hold, each placement in its newest generation."""
        place, service = caller.site or "", caller.service or ""
        (last,) = read_cursor("deployments", after)
        found, further = await store.read(
            lambda transaction: levels.page(transaction, place, service, after=last, limit=limit)
        )
        items = tuple(deployment.order for deployment in found)
        return Page[DeploymentOrdered](items=items, next=cursor_of("deployments", further) if further else None)

    @router.get("/csrs")
    async def list_wanted_csrs(caller: DelivererService, after: After = None, limit: Limit = 100) -> Page[CsrWanted]:
        """The signing requests that the caller's targets should offer."""
        place, service = caller.site or "", caller.service or ""
        (last,) = read_cursor("csrs", after)
        found, further = await store.read(
            lambda transaction: levels.wanted_csrs(transaction, place, service, after=last, limit=limit)
        )
        return Page[CsrWanted](items=tuple(found), next=cursor_of("csrs", further) if further else None)

    @router.get("/expectations")
    async def list_expectations(
        _: MonitorService, after: After = None, limit: Limit = 100
    ) -> Page[EndpointsExpected]:
        """What each endpoint should serve."""
        (last,) = read_cursor("expectations", after)

        def work(transaction: Transaction) -> tuple[list[str], tuple[EndpointsExpected, ...]]:
            ids = transaction.certificates.ids(after=last, limit=limit)
            rollouts = transaction.rollouts.many(transaction.certificates.many(ids))
            return ids, tuple(rollout.expectation() for rollout in rollouts if rollout.wanted > 0)

        ids, items = await store.read(work)
        return Page[EndpointsExpected](
            items=items, next=cursor_of("expectations", ids[-1]) if len(ids) == limit else None
        )

    return router

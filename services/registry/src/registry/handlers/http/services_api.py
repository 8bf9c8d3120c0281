"""The API for the other services: store and fetch bundles, and read levels."""

from functools import partial
from typing import Annotated, Final

from fastapi import APIRouter, Path, Query, Response

from certcore.api import IssueOrders, Page, ServiceView
from certcore.bundles import IssuedBundle, SealedBundle, StoredBundle
from certcore.clock import Clock
from certcore.events import CONTRACT, CsrWanted, DeploymentOrdered, EndpointsExpected
from certcore.names import Label
from certcore.placements import PLATFORM
from registry.adapters.store import Store, Transaction
from registry.handlers.bundles import Bundles
from registry.handlers.deployments import Deployments
from registry.handlers.http.auth import Caller, DelivererService, IssuerService, MonitorService, Viewer
from registry.handlers.http.level_pages import KnownETags, level_response
from registry.handlers.http.paging import After, Limit, read_cursor
from registry.handlers.levels import expectations, issue_orders
from registry.handlers.views import service_views

__all__ = ["services_router"]

_ORDERS: Final = "orders"
_DEPLOYMENTS: Final = "deployments"
_CSRS: Final = "csrs"
_EXPECTATIONS: Final = "expectations"

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

    @router.put("/bundles/{certificate_id}/{revision}")
    async def store_bundle(
        certificate_id: str,
        revision: RevisionNumber,
        issued: IssuedBundle,
        caller: IssuerService,
        variant: Variant = PLATFORM,
    ) -> StoredBundle:
        """Hand over an issued X.509 certificate with its sealed keys, and with the report how it was issued."""
        return await bundles.store(certificate_id, revision, variant, issued, actor=caller.subject)

    @router.get("/bundles/{certificate_id}/{revision}")
    async def fetch_bundle(
        certificate_id: str, revision: RevisionNumber, caller: Caller, variant: Variant = PLATFORM
    ) -> SealedBundle:
        """The bundle that is sealed to the caller. Unknown and forbidden are the same 404; every fetch is audited."""
        return await bundles.fetch(certificate_id, revision, variant, caller)

    @router.get("/orders", response_model=IssueOrders)
    async def list_orders(_: IssuerService, known: KnownETags, after: After = None, limit: Limit = 100) -> Response:
        """Every revision that is ordered and not known as issued, each as it was announced; none after a restore,
        before the issuer has reported what it issued.
        """
        (last,) = read_cursor(_ORDERS, after)

        def work(transaction: Transaction) -> Response:
            page = issue_orders(transaction, after=last, limit=limit, known=known)
            epoch = transaction.epochs.present().number
            return level_response(_ORDERS, partial(IssueOrders, epoch=epoch, contract=CONTRACT), page)

        return await store.read(work)

    @router.get("/deployments", response_model=Page[DeploymentOrdered])
    async def list_deployments(
        caller: DelivererService, known: KnownETags, after: After = None, limit: Limit = 100
    ) -> Response:
        """Everything that the caller should hold, each placement in its newest generation."""
        place, service = caller.site or "", caller.service or ""
        (last,) = read_cursor(_DEPLOYMENTS, after)
        return await store.read(
            lambda transaction: level_response(
                _DEPLOYMENTS,
                Page[DeploymentOrdered],
                levels.page(transaction, place, service, after=last, limit=limit, known=known),
            )
        )

    @router.get("/csrs", response_model=Page[CsrWanted])
    async def list_wanted_csrs(
        caller: DelivererService, known: KnownETags, after: After = None, limit: Limit = 100
    ) -> Response:
        """The signing requests that the caller's targets should offer."""
        place, service = caller.site or "", caller.service or ""
        (last,) = read_cursor(_CSRS, after)
        return await store.read(
            lambda transaction: level_response(
                _CSRS,
                Page[CsrWanted],
                levels.wanted_csrs(transaction, place, service, after=last, limit=limit, known=known),
            )
        )

    @router.get("/expectations", response_model=Page[EndpointsExpected])
    async def list_expectations(
        _: MonitorService, known: KnownETags, after: After = None, limit: Limit = 100
    ) -> Response:
        """What each endpoint should serve."""
        (last,) = read_cursor(_EXPECTATIONS, after)
        return await store.read(
            lambda transaction: level_response(
                _EXPECTATIONS,
                Page[EndpointsExpected],
                expectations(transaction, after=last, limit=limit, known=known),
            )
        )

    return router

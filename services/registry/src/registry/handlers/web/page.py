"""The page: a live list, rendered here, refreshed by the event stream. Nothing comes from elsewhere."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from fastapi.templating import Jinja2Templates

from certcore.api import CertificateState, RequestState
from certcore.certificate_list import CertificateQuery, Order
from certcore.clock import Clock
from certcore.conditions import Health
from certcore.identities import HUB
from certcore.tokens import SignInCode
from registry.adapters.store import Store, Transaction
from registry.domain.access import LOCAL, LOOKING, Principal, owner_listed, require
from registry.domain.errors import ForbiddenError
from registry.handlers.certificate_list import certificates_on_page
from registry.handlers.http.auth import Authenticator, Operator, Viewer, caller_of
from registry.handlers.http.cookies import set_session
from registry.handlers.http.problems import UnauthorizedError
from registry.handlers.http.repeats import without_key
from registry.handlers.views import alert_view, certificate_view, request_view, service_views, site_view
from registry.handlers.web.headers import page_headers
from registry.handlers.web.listed import Shown

__all__ = ["page_router"]

_ORDERS = {Order.NAME: "by name", Order.EXPIRES: "by the end of what is served"}
_FOLDER = Path(__file__).parent
_SHOWN = 50
_WAITING_SHOWN = 200
"""More than a person reads on one page; the command and the API list the rest."""
_ALERTS_SHOWN = 20
_COUNTED_FOR = timedelta(seconds=5)
_CHOICES = {"states": tuple(CertificateState), "healths": tuple(Health), "orders": _ORDERS}


class _Counts:
    """How many placements hold what they should, by place: counted for all pages together, and now and then. It takes
    longer than all else of a page where there are very many.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: tuple[datetime, dict[str, tuple[int, int]]] | None = None

    def of(self, transaction: Transaction) -> dict[str, tuple[int, int]]:
        now, kept = self._clock(), self._kept
        if kept is None or not kept[0] <= now < kept[0] + _COUNTED_FOR:
            kept = self._kept = now, transaction.placements.counts()
        return kept[1]


def page_router(*, store: Store, authenticator: Authenticator, clock: Clock, provider: bool) -> APIRouter:
    """`provider` tells whether people can sign in by one."""
    router, counts = APIRouter(), _Counts(clock)
    templates = Jinja2Templates(directory=_FOLDER / "templates")

    @router.get("/", include_in_schema=False)
    async def overview(request: Request) -> Response:
        try:
            caller = await caller_of(request)
        except UnauthorizedError:
            return templates.TemplateResponse(
                request, "sign_in.html", {"provider": provider}, status_code=401, headers=page_headers()
            )
        require(caller, *LOOKING)
        return templates.TemplateResponse(
            request,
            "overview.html",
            {
                "list": await _list(request, caller),
                "query": Shown.of(request.query_params).query,
                "signed_in": caller.issuer != LOCAL,
                **_CHOICES,
            },
            headers=page_headers(),
        )

    @router.get("/list", include_in_schema=False)
    async def live_list(request: Request, caller: Viewer) -> HTMLResponse:
        return HTMLResponse(await _list(request, caller), headers=page_headers())

    async def _list(request: Request, caller: Principal) -> str:
        shown, now = Shown.of(request.query_params), clock()
        visible = owner_listed(caller, None)
        listed = owner_listed(caller, shown.query.owner)

        def work(transaction: Transaction) -> dict[str, object]:
            found, further = certificates_on_page(
                transaction, shown.query, owners=listed, after=shown.after, limit=_SHOWN
            )
            waiting = transaction.requests.page(limit=_WAITING_SHOWN, owners=visible, state=RequestState.WAITING)
            asked = {
                item.id: item for item in transaction.certificates.many({item.certificate_id for item in waiting})
            }
            given = transaction.votes.given_to([item.id for item in waiting])
            workers = transaction.probe_workers.all()
            sites, seen = transaction.sites.all(), transaction.services.all()
            counted = counts.of(transaction)
            alerts = transaction.alerts.page(limit=_ALERTS_SHOWN, owners=visible, is_open=True)
            return {
                "alerts": [alert_view(record) for record in alerts],
                "alert_count": transaction.alerts.count_open(owners=visible),
                "certificates": [
                    certificate_view(rollout, None, workers) for rollout in transaction.rollouts.many(found)
                ],
                "all_shown": shown.after is None and further is None,
                "following": shown.following(further),
                "waiting": [
                    request_view(item, asked[item.certificate_id], given.get(item.id, ())) for item in waiting
                ],
                "sites": [site_view(site, seen, counted, now) for site in sites if site.name != HUB],
                "services": service_views(sites, seen, now),
            }

        rows = await store.read(work)
        return templates.get_template("list.html").render(
            request=request, now=now, filtered=shown.query != CertificateQuery(), **rows
        )

    @router.get("/assets/{name}", include_in_schema=False)
    async def asset(name: str) -> Response:
        kinds = {"page.css": "text/css", "page.js": "text/javascript"}
        if name not in kinds:
            return Response(status_code=404)
        return Response((_FOLDER / "assets" / name).read_bytes(), media_type=kinds[name], headers=page_headers())

    @router.post("/v1/sign-in-codes", status_code=201, tags=["page"], dependencies=[Depends(without_key)])
    async def make_code(caller: Operator) -> SignInCode:
        """A code that opens the page once, as /sign-in?code=CODE. Whom a provider signs in has no need of it, and
        would see everything for longer than their groups count.
        """
        if caller.issuer != LOCAL:
            raise ForbiddenError("sign in to the page by the provider, at /login")
        return SignInCode(code=authenticator.new_code(caller))

    @router.get("/sign-in", include_in_schema=False)
    async def sign_in(request: Request, code: Annotated[str, Query()]) -> Response:
        session = await authenticator.redeem(code, request)
        response = RedirectResponse("/", status_code=303, headers=page_headers())
        set_session(request, response, session)
        return response

    return router

"""The page: a live list, rendered here, refreshed by the event stream. Nothing comes from elsewhere."""

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from fastapi.templating import Jinja2Templates

from certcore.api import RequestState, SignInCode
from certcore.clock import Clock
from registry.adapters.store import Store
from registry.domain.access import sees
from registry.handlers.http.auth import SESSION_COOKIE, Authenticator, Operator, Viewer
from registry.handlers.http.problems import UnauthorizedError
from registry.handlers.views import certificate_view, request_view, site_view

__all__ = ["page_router"]

_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'"
)
_FOLDER = Path(__file__).parent


def page_router(*, store: Store, authenticator: Authenticator, clock: Clock) -> APIRouter:
    router = APIRouter()
    templates = Jinja2Templates(directory=_FOLDER / "templates")

    @router.get("/", include_in_schema=False)
    async def overview(request: Request) -> Response:
        try:
            caller = await authenticator.caller(request)
        except UnauthorizedError:
            return templates.TemplateResponse(request, "sign_in.html", status_code=401, headers=_headers())
        return templates.TemplateResponse(
            request, "overview.html", {"list": await _list(request, caller)}, headers=_headers()
        )

    @router.get("/list", include_in_schema=False)
    async def live_list(request: Request, caller: Viewer) -> HTMLResponse:
        return HTMLResponse(await _list(request, caller), headers=_headers())

    async def _list(request: Request, caller: Viewer) -> str:
        async with store.transaction() as transaction:
            certificates = [
                await certificate_view(transaction, item)
                for item in await transaction.certificates.all()
                if sees(caller, item.owner)
            ]
            waiting = []
            for item in await transaction.requests.all(state=RequestState.WAITING):
                certificate = await transaction.certificates.get(item.certificate_id)
                if certificate is not None and sees(caller, item.owner):
                    waiting.append(request_view(item, certificate))
            sites = [await site_view(transaction, site) for site in await transaction.sites.all()]
        template = templates.get_template("list.html")
        return template.render(request=request, certificates=certificates, waiting=waiting, sites=sites, now=clock())

    @router.get("/assets/{name}", include_in_schema=False)
    async def asset(name: str) -> Response:
        kinds = {"page.css": "text/css", "page.js": "text/javascript"}
        if name not in kinds:
            return Response(status_code=404)
        return Response((_FOLDER / "assets" / name).read_bytes(), media_type=kinds[name], headers=_headers())

    @router.post("/v1/sign-in-codes", status_code=201, tags=["page"])
    async def make_code(_: Operator) -> SignInCode:
        """A code that opens the page once, as /sign-in?code=CODE."""
        return SignInCode(code=authenticator.new_code())

    @router.get("/sign-in", include_in_schema=False)
    async def sign_in(code: Annotated[str, Query()]) -> Response:
        session = await authenticator.redeem(code)
        if session is None:
            raise UnauthorizedError("this sign-in link was used or is too old: make a new one")
        response = RedirectResponse("/", status_code=303, headers=_headers())
        response.set_cookie(SESSION_COOKIE, session, httponly=True, samesite="strict", path="/")
        return response

    return router


def _headers() -> dict[str, str]:
    return {
        "content-security-policy": _POLICY,
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "cache-control": "no-store",
    }

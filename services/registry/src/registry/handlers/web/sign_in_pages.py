"""Signing in by the provider: where a browser leaves, comes back, and signs out; and the command's part in it.

None of these addresses is traced or logged: the answer of a provider stands in the URL of the one that comes back.
"""

from pathlib import Path
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request, status
from fastapi.responses import RedirectResponse, Response
from fastapi.templating import Jinja2Templates

from certcore.proof_key import words_of
from certcore.tokens import SessionOrder, TokenView
from registry.domain.id_token import LoginFault, LoginRefusedError
from registry.domain.identity import Identity
from registry.domain.login import Answer, CommandDoor, Login
from registry.handlers.http.auth import Authenticator
from registry.handlers.http.cookies import SESSION, cookie_in, delete_cookie, set_cookie, set_session
from registry.handlers.http.problems import UnauthorizedError
from registry.handlers.sessions import Sessions
from registry.handlers.sign_in import SignIn
from registry.handlers.web.headers import page_headers

__all__ = ["CALLBACK", "sign_in_router"]

CALLBACK: Final = "/oidc/callback"

_FOLDER: Final = Path(__file__).parent
_LOGIN: Final = "certbus_login"
_LOGIN_LASTS_S: Final = 600


def sign_in_router(*, sign_in: SignIn, sessions: Sessions, authenticator: Authenticator) -> APIRouter:
    router = APIRouter(include_in_schema=False)
    templates = Jinja2Templates(directory=_FOLDER / "templates")

    @router.get("/login")
    async def leave(
        request: Request,
        port: Annotated[str, Query()] = "",
        challenge: Annotated[str, Query()] = "",
        state: Annotated[str, Query()] = "",
    ) -> Response:
        door = CommandDoor.of(port, challenge, state)
        if door is None and (port or challenge or state):
            return _refused(request, LoginRefusedError(LoginFault.STATE, "this is no sign-in of the command"), 400)
        login, url = await sign_in.begin(door)
        response = RedirectResponse(url, status_code=303, headers=page_headers())
        # Lax: the browser comes back from another site, and must show it then.
        set_cookie(request, response, _LOGIN, login.kept(), samesite="lax", max_age=_LOGIN_LASTS_S)
        return response

    @router.get(CALLBACK)
    async def come_back(
        request: Request,
        code: Annotated[str, Query(max_length=4096)] = "",
        state: Annotated[str, Query(max_length=256)] = "",
        iss: Annotated[str | None, Query(max_length=1024)] = None,
        error: Annotated[str, Query()] = "",
    ) -> Response:
        login = Login.read(cookie_in(request, _LOGIN))
        try:
            identity = await sign_in.identity(login, Answer(state, code, iss, error))
        except LoginRefusedError as refusal:
            await authenticator.failed(request, refusal.fault)
            response = _refused(request, refusal, 401)
        else:
            response = await _admit(request, identity, login.door if login is not None else None)
        delete_cookie(request, response, _LOGIN, samesite="lax")
        return response

    async def _admit(request: Request, identity: Identity, door: CommandDoor | None) -> Response:
        if door is not None:
            url, words = door.url(await sessions.code_for(identity, door)), words_of(door.challenge)
            shown = {"url": url, "words": words, "name": identity.name}
            return templates.TemplateResponse(request, "sign_in_command.html", shown, headers=page_headers())
        # A redirect from another site would be followed without the cookie, which is for this site alone.
        response = templates.TemplateResponse(request, "signed_in.html", headers=page_headers())
        set_session(request, response, await sessions.open_page(identity))
        return response

    @router.post("/oidc/session", status_code=status.HTTP_201_CREATED)
    async def redeem(request: Request, order: SessionOrder) -> TokenView:
        """The command's session, once, for the code that the browser brought it."""
        try:
            return await sessions.redeem(order.code, verifier=order.verifier)
        except LoginRefusedError as refusal:
            await authenticator.failed(request, refusal.fault)
            raise UnauthorizedError(str(refusal)) from None

    @router.post("/logout")
    async def sign_out(request: Request) -> Response:
        await sessions.leave(await authenticator.page(request))
        response = templates.TemplateResponse(
            request, "signed_out.html", {"provider": sign_in.provider_logout()}, headers=page_headers()
        )
        delete_cookie(request, response, SESSION, samesite="strict")
        return response

    def _refused(request: Request, refusal: LoginRefusedError, code: int) -> Response:
        return templates.TemplateResponse(
            request, "sign_in_refused.html", {"reason": str(refusal)}, status_code=code, headers=page_headers()
        )

    return router

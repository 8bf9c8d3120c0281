"""The cookies of a browser: for this host alone, and unseen by scripts."""

from typing import Final, Literal

from fastapi import Request
from fastapi.responses import Response

__all__ = ["SESSION", "cookie_in", "delete_cookie", "session_in", "set_cookie", "set_session"]

SESSION: Final = "certbus_session"


def _name(request: Request, name: str) -> str:
    # With the prefix no other host of the domain can set it: a browser takes it from this one alone, over TLS.
    return f"__Host-{name}" if _is_secure(request) else name


def _is_secure(request: Request) -> bool:
    # Not over allowed plain text: browsers would not send it back.
    return request.url.scheme == "https"


def cookie_in(request: Request, name: str) -> str:
    """What the browser shows; empty where it has none."""
    return request.cookies.get(_name(request, name), "")


def session_in(request: Request) -> str:
    """The open page's token; empty where there is none."""
    return cookie_in(request, SESSION)


def set_cookie(
    request: Request,
    response: Response,
    name: str,
    value: str,
    *,
    samesite: Literal["lax", "strict"],
    max_age: int | None = None,
) -> None:
    response.set_cookie(
        _name(request, name),
        value,
        httponly=True,
        samesite=samesite,
        secure=_is_secure(request),
        path="/",
        max_age=max_age,
    )


def set_session(request: Request, response: Response, token: str) -> None:
    """Until the browser ends, and never on the way from another site."""
    set_cookie(request, response, SESSION, token, samesite="strict")


def delete_cookie(request: Request, response: Response, name: str, *, samesite: Literal["lax", "strict"]) -> None:
    response.delete_cookie(
        _name(request, name), path="/", secure=_is_secure(request), httponly=True, samesite=samesite
    )

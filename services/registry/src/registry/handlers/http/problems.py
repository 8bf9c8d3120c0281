"""Every refusal is a problem document (RFC 9457) with a stable type."""

import math
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.routing import Match, Router

from certcore.api import Problem
from certcore.errors import CertbusError, InspectionError, TransientError
from certcore.rejection import RejectedError, Rejection
from registry.domain.errors import ConflictError, ForbiddenError, NotFoundError, TooManyError
from registry.domain.keyed import AtWorkError

__all__ = ["UnauthorizedError", "install_problems", "respond"]


class UnauthorizedError(CertbusError):
    """No token, or an unknown one."""


_TYPES: dict[type[CertbusError], tuple[int, str, str]] = {
    UnauthorizedError: (401, "unauthorized", "Who are you?"),
    ForbiddenError: (403, "forbidden", "Not allowed"),
    AtWorkError: (409, "at-work", "Not answered yet"),
    NotFoundError: (404, "not-found", "Not found"),
    ConflictError: (409, "conflict", "Not in the present state"),
    InspectionError: (422, "invalid-certificate", "The certificate can't be used"),
    TooManyError: (429, "too-many", "Too many at once"),
    TransientError: (503, "unavailable", "Try again later"),
}


_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


def install_problems(app: FastAPI) -> None:
    app.add_exception_handler(RejectedError, _rejected)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    for kind in _TYPES:
        app.add_exception_handler(kind, _refused)


def respond(problem: Problem, headers: dict[str, str] | None = None) -> Response:
    return Response(
        problem.model_dump_json(),
        status_code=problem.status,
        media_type="application/problem+json",
        headers=headers,
    )


async def _refused(_: Request, error: Exception) -> Response:
    kind = next(kind for kind in type(error).__mro__ if kind in _TYPES)
    status, slug, title = _TYPES[kind]
    problem = Problem(type=f"/problems/{slug}", title=title, status=status, detail=str(error))
    return respond(problem, headers=_headers(error, status))


def _headers(error: Exception, status: int) -> dict[str, str] | None:
    if isinstance(error, TooManyError | AtWorkError):
        return {"retry-after": str(math.ceil(error.retry_after.total_seconds()))}
    return {"www-authenticate": "Bearer"} if status == 401 else {"retry-after": "5"} if status == 503 else None


async def _rejected(_: Request, error: Exception) -> Response:
    assert isinstance(error, RejectedError)
    taken = any(rejection.field == "name" and "taken" in rejection.message for rejection in error.rejections)
    return respond(_invalid_request(409 if taken else 422, tuple(error.rejections)))


def _invalid_request(status: int, errors: tuple[Rejection, ...]) -> Problem:
    detail = "; ".join(f"{rejection.field} {rejection.message}" for rejection in errors)[:1000]
    return Problem(
        type="/problems/invalid-request",
        title="The request can't be accepted; nothing of it was stored",
        status=status,
        detail=detail,
        errors=errors,
    )


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return respond(_invalid_request(422, tuple(_rejection(item) for item in error.errors())))


def _rejection(item: dict[str, Any]) -> Rejection:
    if item["type"] == "json_invalid":
        # Its place is a number of bytes, not a field.
        return Rejection(field="body", message="is not JSON")
    field = ".".join(str(part) for part in item["loc"][1:])
    # A field's name may be half a surrogate pair, which can't be encoded in an answer.
    readable = field.encode(errors="replace").decode()[:300]
    return Rejection(field=readable or "body", message=str(item["msg"])[:300])


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if error.status_code == 405:
        # Starlette names those of one route; a path has one for each method.
        headers = {"allow": ", ".join(_methods_at(request))}
    if error.status_code == 400:
        return respond(_invalid_request(400, (Rejection(field="body", message="can't be read"),)), headers)
    slug = {404: "not-found", 405: "method-not-allowed", 413: "too-large"}.get(error.status_code, "http")
    problem = Problem(
        type=f"/problems/{slug}", title=str(error.detail), status=error.status_code, detail=str(error.detail)
    )
    return respond(problem, headers)


def _methods_at(request: Request) -> list[str]:
    router: Router = request.app.router
    scopes = {method: {**request.scope, "method": method} for method in _METHODS}
    return [
        method
        for method, scope in scopes.items()
        if any(route.matches(scope)[0] is Match.FULL for route in router.routes)
    ]

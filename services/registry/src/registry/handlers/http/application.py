"""The web application around the routes: what is limited, traced, and answered where something goes wrong."""

from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

from fastapi import APIRouter, FastAPI
from starlette.routing import Route

from certkit.telemetry import Telemetry
from registry.handlers.http.body_limit import BodyLimit
from registry.handlers.http.described import DescribedApi
from registry.handlers.http.faults import Faults
from registry.handlers.http.limits import Limits
from registry.handlers.http.media_types import JsonBodies
from registry.handlers.http.problems import install_problems
from registry.handlers.web.sign_in_pages import CALLBACK

__all__ = ["http_application", "with_routes"]

# A bundle sealed to hundreds of sites is the largest that anybody sends.
_MAX_BODY_BYTES: Final = 4 * 1024 * 1024
_UNTRACED: Final = frozenset(
    {
        "/healthz",
        "/readyz",
        "/metrics",
        "/list",
        "/sign-in",
        "/login",
        CALLBACK,
        "/oidc/session",
        "/oidc/device",
        "/oidc/device/session",
    }
)


def with_routes(app: FastAPI, routers: Iterable[APIRouter], health: Iterable[tuple[str, Any]]) -> FastAPI:
    # Routes are compared in their order, and these are asked for most.
    for path, route in health:
        app.router.routes.append(Route(path, endpoint=route))
    for router in routers:
        app.include_router(router)
    return app


def http_application(
    lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]],
    telemetry: Telemetry,
    *,
    leave: Callable[[], None],
    limits: Limits,
) -> FastAPI:
    app = DescribedApi(
        title="certbus registry",
        version="1",
        lifespan=lifespan,
        # The viewers of FastAPI load their scripts from elsewhere; the document itself is at /openapi.json.
        docs_url=None,
        redoc_url=None,
        # Another path is another thing: a client that is sent on would show its token once more.
        redirect_slashes=False,
        telemetry={
            "tracer_provider": telemetry.provider,
            "operation_spans": False,
            "metrics": False,
            "logs": False,
            # Health and the page's own look-ups only make noise; what signs in holds codes.
            "exclude": lambda scope: scope.get("path", "") in _UNTRACED,
        },
    )
    app.state.leave, app.state.limits = leave, limits
    app.add_middleware(BodyLimit, max_bytes=_MAX_BODY_BYTES)
    app.add_middleware(JsonBodies)
    app.add_middleware(Faults)
    install_problems(app)
    return app

"""Bodies are JSON: another media type is refused before it is read (RFC 9110, 15.5.16)."""

from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from certcore.api import Problem
from registry.handlers.http.problems import respond

__all__ = ["JsonBodies"]

_WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH"})
_OTHER: Final = Problem(
    type="/problems/unsupported-media-type",
    title="Unsupported Media Type",
    status=415,
    detail="send the body as application/json",
)


class JsonBodies:
    """ASGI middleware. Who names no type is believed to send JSON."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] in _WITH_BODY and _is_other(Headers(scope=scope)):
            await respond(_OTHER, headers={"accept": "application/json"})(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _is_other(headers: Headers) -> bool:
    if headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers:
        return False
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    subtype = media_type.removeprefix("application/")
    return bool(media_type) and subtype != "json" and not (subtype != media_type and subtype.endswith("+json"))

"""What goes wrong inside is a problem document, one line in the log, and nothing of the request in either."""

from typing import Final
from urllib.parse import unquote_to_bytes

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from certcore.api import Problem
from certcore.errors import TransientError
from certcore.rejection import Rejection
from certkit.failure_policy import describe
from registry.handlers.http.problems import respond

__all__ = ["Faults"]

log = structlog.get_logger()

_BROKEN: Final = Problem(
    type="/problems/internal",
    title="The registry is at fault",
    status=500,
    detail="the fault is in its log; whether anything was stored is unknown: look before you ask again",
)
_BUSY: Final = Problem(type="/problems/unavailable", title="Try again later", status=503, detail="not available now")
_NOWHERE: Final = Problem(
    type="/problems/not-found", title="Not Found", status=404, detail="the path has a zero byte, which no name has"
)
_UNFIT: Final = Problem(
    type="/problems/invalid-request",
    title="The request can't be accepted; nothing of it was stored",
    status=422,
    detail="query has a zero byte",
    errors=(Rejection(field="query", message="has a zero byte, which no name has"),),
)


class Faults:
    """ASGI middleware, outermost. A caller who hangs up is no fault: nobody is answered, nothing is logged."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def sending(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        unfit = _zero_byte(scope)
        if unfit is not None:
            await respond(unfit)(scope, receive, send)
            return
        try:
            await self._app(scope, receive, sending)
        except ClientDisconnect:
            return
        except TransientError as error:
            log.warning("not_answered", method=scope["method"], path=scope["path"], error=str(error))
            if not begun:
                await respond(_BUSY, headers={"retry-after": "5"})(scope, receive, send)
        except Exception as error:  # noqa: BLE001 # whatever it is, the caller gets an answer
            # Without a traceback: its local variables may hold a token.
            fault = describe(error)
            log.error("fault", method=scope["method"], path=scope["path"], error=fault)  # noqa: TRY400 # as above
            if not begun:
                await respond(_BROKEN)(scope, receive, send)


def _zero_byte(scope: Scope) -> Problem | None:
    # Not every database takes it in a text. What is written is checked field by field.
    if scope["method"] == "GET" and "\x00" in scope["path"]:
        return _NOWHERE
    return _UNFIT if b"\x00" in unquote_to_bytes(scope["query_string"]) else None

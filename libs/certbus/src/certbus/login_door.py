"""Where a browser brings what the registry gives the command: one port of this machine, for one answer."""

import hmac
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import TracebackType
from typing import Final, Self
from urllib.parse import parse_qs, urlsplit

__all__ = ["LoginDoor"]

_PATIENCE_S: Final = 5.0
_LOOK_S: Final = 0.5
_DONE: Final = (
    b"<!doctype html><title>certbus</title><p>Signed in. You may close this page and go back to the terminal."
)


class LoginDoor:
    """It answers only who knows the `state`, and listens on loopback alone.

    Raises:
        OSError: the port is taken.
    """

    def __init__(self, *, state: str, port: int = 0) -> None:
        self._state = state
        self._code: str | None = None
        door = self

        class Handler(BaseHTTPRequestHandler):
            timeout = _PATIENCE_S

            def do_GET(self) -> None:
                is_ours = door.take(self.path)
                self.send_response(200 if is_ours else 404)
                self.send_header("content-type", "text/html; charset=utf-8")
                self.send_header("referrer-policy", "no-referrer")
                self.send_header("cache-control", "no-store")
                self.end_headers()
                self.wfile.write(_DONE if is_ours else b"")

            def log_message(self, *_: object) -> None:
                """The URL holds the code."""

        self._server = HTTPServer(("127.0.0.1", port), Handler)
        self._server.timeout = _LOOK_S

    @property
    def port(self) -> int:
        return self._server.server_port

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.server_close()

    def take(self, target: str) -> bool:
        """Whether the target of a request brings the answer to this login."""
        parts = urlsplit(target)
        query = parse_qs(parts.query)
        state, code = query.get("state", [""])[0], query.get("code", [""])[0]
        if parts.path != "/" or not code or not hmac.compare_digest(state.encode(), self._state.encode()):
            return False
        self._code = code
        return True

    def wait(self, *, timeout_s: float) -> str | None:
        """The code; None where nobody brought it in that time."""
        deadline = time.monotonic() + timeout_s
        while self._code is None and time.monotonic() < deadline:
            self._server.handle_request()
        return self._code

"""Somebody else's HTTP server on loopback: it answers everything with 200, and keeps what it was asked."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

__all__ = ["Stranger", "stranger"]


class Stranger:
    def __init__(self) -> None:
        self.paths: list[str] = []
        self.secrets: list[str] = []
        """What it was sent to show who asks."""


@contextmanager
def stranger(port: int) -> Iterator[Stranger]:
    seen = Stranger()

    class Visit(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.paths.append(self.path)
            seen.secrets += [self.headers[name] for name in ("authorization", "cookie") if name in self.headers]
            self.send_response(200)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        do_POST = do_PUT = do_GET  # noqa: N815 # the names that http.server looks for

        def log_message(self, *_: object) -> None:
            """Stay quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Visit)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

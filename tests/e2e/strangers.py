"""Somebody else's HTTP server on loopback: it answers everything with 200, and keeps what it was asked."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from certlocal.local_ca import Pair

__all__ = ["Stranger", "stranger"]


class Stranger:
    def __init__(self) -> None:
        self.visits = 0
        """Connections, whatever came of them."""
        self.paths: list[str] = []
        self.secrets: list[str] = []
        """What it was sent to show who asks."""


@contextmanager
def stranger(port: int, *, shows: Pair | None = None) -> Iterator[Stranger]:
    """In plain text, or over TLS by the pair that it shows."""
    seen = Stranger()

    class Visit(BaseHTTPRequestHandler):
        def setup(self) -> None:
            seen.visits += 1
            super().setup()

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

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """Stay quiet: whoever doesn't trust it hangs up."""

    server = Server(("127.0.0.1", port), Visit)
    if shows is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(shows.certificate_file, shows.key_file)
        # Each handshake happens in its visit's thread: a failed one is a visit too.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

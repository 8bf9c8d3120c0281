"""TLS servers on loopback whose certificate can be changed while they run; each has threads of its own."""

import asyncio
import socket
import socketserver
import ssl
import tempfile
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from tests.authority import Issued
from tests.ports import free_port

__all__ = ["TlsServer", "plain_server", "tls_server"]


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    request_queue_size = 128


class _Listener:
    """Takes connections in threads until it is stopped."""

    def __init__(self, host: str, port: int, serve: Callable[[socket.socket], None]) -> None:
        class Visit(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                self.request.settimeout(5.0)
                with suppress(OSError):
                    serve(self.request)

        self._server = _Server((host, port), Visit)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class TlsServer:
    """`hellos` counts the handshakes that were begun, `shaken` those that were completed."""

    def __init__(self, *, host: str, port: int) -> None:
        self.host = host
        self.port = port
        self.hellos = 0
        self.shaken = 0
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.sni_callback = self._count
        self._listener: _Listener | None = None

    def show(self, issued: Issued, *, chain_pem: str | None = None) -> None:
        """Serve this to every handshake from now on."""
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
            file.write((chain_pem or issued.chain_pem) + issued.key_pem)
            file.flush()
            self.context.load_cert_chain(Path(file.name))

    def start(self) -> None:
        self._listener = _Listener(self.host, self.port, self._serve)

    def stop(self) -> None:
        """Close the port; `start` opens the same one again."""
        if self._listener is not None:
            self._listener.stop()
            self._listener = None

    def _serve(self, connection: socket.socket) -> None:
        with self.context.wrap_socket(connection, server_side=True) as session:
            self.shaken += 1
            session.recv(1)

    def _count(self, _: ssl.SSLObject | ssl.SSLSocket, __: str | None, ___: ssl.SSLContext) -> None:
        self.hellos += 1


@asynccontextmanager
async def tls_server(
    issued: Issued, *, chain_pem: str | None = None, port: int = 0, host: str = "127.0.0.1"
) -> AsyncIterator[TlsServer]:
    server = TlsServer(host=host, port=port or free_port())
    server.show(issued, chain_pem=chain_pem)
    server.start()
    try:
        yield server
    finally:
        await asyncio.to_thread(server.stop)


@asynccontextmanager
async def plain_server(serve: Callable[[socket.socket], None]) -> AsyncIterator[int]:
    """Serves connections by a function in a thread; yields the port."""
    port = free_port()
    listener = _Listener("127.0.0.1", port, serve)
    try:
        yield port
    finally:
        await asyncio.to_thread(listener.stop)

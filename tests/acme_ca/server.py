"""The CA on loopback, in a thread of its own: a test that blocks doesn't hold it up."""

import asyncio
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from weakref import WeakSet

from aiohttp import web

from certlocal.local_ca import LocalCa
from tests.acme_ca.books import Books, names_in
from tests.acme_ca.calls import Call, Endpoint, RefusedError, Reply, problem
from tests.acme_ca.jws import Jws
from tests.acme_ca.orders import Order
from tests.acme_ca.script import Script
from tests.acme_ca.service import Service
from tests.acme_ca.validation import Validation
from tests.ports import free_port

__all__ = ["ScriptedCa", "TlsCa", "acme_ca", "deaf_server", "plain_ca"]

_LARGEST = 1024 * 1024
_MORE_THAN_ANY_CLIENT_NEEDS = 1024


class ScriptedCa:
    """`calls` is what was asked since the start, or since `forget_calls`."""

    def __init__(self, url: str, *, validation: Validation) -> None:
        self.url = url
        self.directory_url = f"{self.url}/{Endpoint.DIRECTORY}"
        self.script = Script()
        self.calls: list[Call] = []
        self.service = Service(self.url, validation=validation)
        self.transports: WeakSet[asyncio.Transport] = WeakSet()

    @property
    def books(self) -> Books:
        return self.service.books

    def asked(self, endpoint: Endpoint, *names: str) -> list[Call]:
        """The questions to it; with names, only those about an order for one of them."""
        wanted = set(names)
        return [
            one for one in tuple(self.calls) if one.endpoint is endpoint and (not names or wanted & set(one.names))
        ]

    def posted(self) -> list[Call]:
        """The signed questions."""
        return [one for one in tuple(self.calls) if one.method == "POST"]

    def asked_about(self, order: Order) -> Counter[Endpoint]:
        return Counter(one.endpoint for one in tuple(self.calls) if one.order == order.id)

    def finalized(self, *names: str) -> list[Order]:
        """Orders whose finalize was taken; with names, only those for exactly these."""
        orders = self.books.orders_for(*names) if names else list(self.books.orders.values())
        return [order for order in orders if order.finalized_at is not None]

    def finalized_orders(self) -> list[str]:
        """The id of each order that was signed."""
        return [order.id for order in self.finalized() if order.leaf is not None]

    def pending(self, *names: str) -> list[Order]:
        """Orders for exactly these names that are open and were never finalized."""
        return [order for order in self.books.orders_for(*names) if order.live and order.finalized_at is None]

    def forget_calls(self) -> None:
        self.calls.clear()

    def call_of(self, request: web.Request, body: bytes) -> Call | None:
        """None where there is no such endpoint."""
        first, _, item = request.path.strip("/").partition("/")
        if first not in {str(endpoint) for endpoint in Endpoint}:
            return None
        endpoint, protected, payload = Endpoint(first), {}, None
        if request.method == "POST":
            with suppress(RefusedError):
                jws = Jws.read(body)
                protected, payload = jws.protected, jws.payload
        order = self.books.order_at(endpoint, item)
        peer = request.transport.get_extra_info("peername") if request.transport else None
        return Call(
            endpoint=endpoint,
            item=item,
            method=request.method,
            url=f"{self.url}{request.path}",
            at=time.monotonic(),
            client_port=peer[1] if peer else 0,
            body=body,
            protected=protected,
            payload=payload,
            order=order.id if order else None,
            names=order.names if order else names_in(payload),
        )

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.transport is not None:
            self.transports.add(request.transport)
        body = await request.read()
        call = self.call_of(request, body)
        if call is None:
            return self._response(request, problem("malformed", 404, request.path))
        self.calls.append(call)

        async def proceed() -> Reply:
            return await self.service.act(call, request.headers.get("Content-Type", ""))

        act = self.script.act_for(call)
        return self._response(request, await (act(call, proceed) if act else proceed()))

    def _response(self, request: web.Request, reply: Reply) -> web.StreamResponse:
        if reply.drop and request.transport is not None:
            request.transport.abort()
        headers = {
            "Replay-Nonce": self.service.nonces.make(),
            "Cache-Control": "no-store",
            **reply.headers,
        }
        # A value that is empty leaves the header out.
        told = {name: value for name, value in headers.items() if value}
        response = web.Response(status=reply.status, body=reply.body, headers=told)
        if reply.close or request.headers.get("Connection") == "close":
            response.force_close()
        return response


class TlsCa(ScriptedCa):
    def __init__(self, url: str, ca_file: Path, *, validation: Validation) -> None:
        super().__init__(url, validation=validation)
        self.ca_file = ca_file


class _Running:
    """The server's thread."""

    def __init__(self, ca: ScriptedCa, port: int, context: ssl.SSLContext | None) -> None:
        self._ca, self._port, self._context = ca, port, context
        self._loop = asyncio.new_event_loop()
        self._ended = asyncio.Event()
        self._serving = threading.Event()
        self._failed: OSError | None = None
        self._thread = threading.Thread(target=self._run, name="scripted-ca")

    def start(self) -> None:
        self._thread.start()
        self._serving.wait()
        if self._failed is not None:
            self._thread.join()
            raise self._failed

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        application = web.Application(client_max_size=_LARGEST)
        application.router.add_route("*", "/{path:.*}", self._ca.handle)
        runner = web.AppRunner(application, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        backlog = _MORE_THAN_ANY_CLIENT_NEEDS
        site = web.TCPSite(runner, "127.0.0.1", self._port, ssl_context=self._context, backlog=backlog)
        try:
            await site.start()
        except OSError as error:
            self._failed = error
        self._serving.set()
        if self._failed is None:
            await self._ended.wait()
        await self._ca.service.stop()
        # Closing politely waits for clients that may be dead.
        for transport in [*self._ca.transports, *_idle(runner)]:
            transport.abort()
        await runner.cleanup()


def _idle(runner: web.AppRunner) -> list[asyncio.Transport]:
    """Connections over which nothing was asked yet."""
    connections = runner.server.connections if runner.server else []
    return [one.transport for one in connections if one.transport is not None]


@contextmanager
def acme_ca(folder: Path, port: int, *, dns: str | None = None, http01_port: int | None = None) -> Iterator[TlsCa]:
    """A CA that validates at that DNS server and port, and believes what it has no server for."""
    pair = LocalCa(folder / "scripted-ca").server("server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate_file, pair.key_file)
    ca = TlsCa(f"https://127.0.0.1:{port}", pair.ca_file, validation=Validation(dns, http01_port))
    with _running(ca, port, context):
        yield ca


@contextmanager
def plain_ca() -> Iterator[ScriptedCa]:
    """Without TLS, for what isn't about it; it believes all proofs."""
    port = free_port()
    ca = ScriptedCa(f"http://127.0.0.1:{port}", validation=Validation())
    with _running(ca, port, None):
        yield ca


@contextmanager
def _running(ca: ScriptedCa, port: int, context: ssl.SSLContext | None) -> Iterator[None]:
    running = _Running(ca, port, context)
    running.start()
    try:
        yield
    finally:
        running.stop()


@contextmanager
def deaf_server(port: int) -> Iterator[None]:
    """Accepts connections at a port of 127.0.0.1, and never says a word, not even of TLS."""
    taken: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", port), backlog=_MORE_THAN_ANY_CLIENT_NEEDS) as listening:

        def take() -> None:
            with suppress(OSError):
                while True:
                    taken.append(listening.accept()[0])

        taking = threading.Thread(target=take, name="deaf-server")
        taking.start()
        try:
            yield
        finally:
            # Closing alone doesn't end an accept that waits.
            listening.shutdown(socket.SHUT_RDWR)
            taking.join()
            for one in taken:
                one.close()

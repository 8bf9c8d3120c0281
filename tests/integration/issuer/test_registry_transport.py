"""The registry's client over aiohttp: what is sent and read, and what becomes of a registry that doesn't answer."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from certcore.bundles import IssuedBundle
from certcore.errors import PermanentError, TransientError
from certkit.registry_client import RegistryClient
from certkit.settings import RegistrySettings
from issuer.adapters.registry_transport import RegistryTransport
from tests.patience import HANG_S
from tests.ports import free_port

pytestmark = pytest.mark.integration

TOKEN = "the-token"
BUNDLE = IssuedBundle(chain_pem="a chain", keys=())

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def answering(*answers: bytes, asked: list[bytes]) -> Serve:
    """A server that gives its answers in turn on one connection, and keeps what it was asked."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                (line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), b":0"
            )
            asked.append(head + await reader.readexactly(int(length.partition(b":")[2])))
            writer.write(answer)
        await writer.drain()

    return serve


def an_answer(body: bytes, *headers: bytes, status: bytes = b"200 OK") -> bytes:
    lines = [b"HTTP/1.1 " + status, b"content-length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def settings(folder: Path, port: int) -> RegistrySettings:
    token = folder / "token"
    token.write_text(TOKEN)
    return RegistrySettings(url=f"http://127.0.0.1:{port}", token_file=token, plain_text=True)


@asynccontextmanager
async def serving(serve: Serve, folder: Path) -> AsyncIterator[RegistrySettings]:
    """A server's settings; at the end each connection is closed, as its client has closed it before."""
    handlers: list[asyncio.Task[None]] = []

    async def handled(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        finally:
            writer.close()
            await writer.wait_closed()

    def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.append(asyncio.create_task(handled(reader, writer)))

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield settings(folder, server.sockets[0].getsockname()[1])
        await asyncio.gather(*handlers)


@asynccontextmanager
async def a_registry(folder: Path, serve: Serve) -> AsyncIterator[RegistryClient]:
    async with (
        serving(serve, folder) as mine,
        RegistryClient(mine, transport=RegistryTransport(mine)) as client,
    ):
        yield client


async def test_calls_share_a_connection_and_are_sent_as_they_are(tmp_path: Path) -> None:
    asked: list[bytes] = []
    packed = gzip.compress(b'{"reported": true}')
    serve = answering(an_answer(packed, b"content-encoding: gzip"), an_answer(b'{"reported": false}'), asked=asked)
    async with a_registry(tmp_path, serve) as registry:
        first = await registry.store_bundle("a-certificate", 3, BUNDLE, "a-variant")
        second = await registry.store_bundle("a-certificate", 3, BUNDLE)
    assert (first.reported, second.reported) == (True, False)
    head, _, body = asked[0].partition(b"\r\n\r\n")
    assert head.startswith(b"PUT /v1/bundles/a-certificate/3?variant=a-variant HTTP/1.1\r\n")
    assert head.lower().count(b"\r\nauthorization: bearer the-token") == 1
    assert head.lower().count(b"\r\nhost: 127.0.0.1:") == 1
    assert IssuedBundle.model_validate_json(body) == BUNDLE


async def test_a_redirect_is_not_followed(tmp_path: Path) -> None:
    elsewhere = an_answer(b"", b"location: http://127.0.0.1:1/", status=b"307 Temporary Redirect")
    async with a_registry(tmp_path, answering(elsewhere, asked=[])) as registry:
        with pytest.raises(PermanentError, match="307"):
            await registry.store_bundle("a-certificate", 3, BUNDLE)


async def hang_up(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
    """The connection is closed when this has returned."""


async def test_a_registry_that_hangs_up_is_asked_again_later(tmp_path: Path) -> None:
    async with a_registry(tmp_path, hang_up) as registry:
        with pytest.raises(TransientError, match="ReadError") as caught:
            await registry.store_bundle("a-certificate", 3, BUNDLE)
    assert TOKEN not in str(caught.value)


async def test_a_registry_that_is_away_is_asked_again_later(tmp_path: Path) -> None:
    mine = settings(tmp_path, free_port())
    async with RegistryClient(mine, transport=RegistryTransport(mine)) as registry:
        with pytest.raises(TransientError, match="ConnectError"):
            await registry.store_bundle("a-certificate", 3, BUNDLE)


async def test_a_registry_that_says_nothing_is_not_waited_for(tmp_path: Path) -> None:
    async def say_nothing(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    limits = {"timeout": httpx.Timeout(HANG_S, read=0.05).as_dict()}
    async with serving(say_nothing, tmp_path) as mine, RegistryTransport(mine) as transport:
        with pytest.raises(httpx.ReadTimeout):
            await transport.handle_async_request(httpx.Request("GET", f"{mine.url}/readyz", extensions=limits))

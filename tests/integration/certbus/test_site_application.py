import asyncio
import base64
import json
import os
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests import servers
from tests.authority import Authority, Issued
from tests.patience import HANG_S
from tests.ports import free_port

pytestmark = pytest.mark.integration

_NAME = "shop.example.org"

Start = Callable[..., Awaitable["Application"]]


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(HANG_S):
        while not holds():  # noqa: ASYNC110 # what it waits for happens in other processes
            await asyncio.sleep(0.01)


class Application:
    """The stand-in as its own process. `lines` are those that it printed so far."""

    def __init__(self, process: asyncio.subprocess.Process, listens: list[int]) -> None:
        self.process = process
        self.ports = listens
        self.lines: list[dict[str, Any]] = []
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.lines.append(json.loads(line))

    async def told(self, event: str, *, times: int = 1, **facts: str) -> None:
        wanted = {"event": event, **facts}.items()
        await until(lambda: sum(wanted <= line.items() for line in self.lines) >= times)

    async def stop(self) -> tuple[int, str]:
        assert self.process.stderr is not None
        with suppress(ProcessLookupError):
            self.process.terminate()
        async with asyncio.timeout(HANG_S):
            errors = await self.process.stderr.read()
            await self._reading
            return await self.process.wait(), errors.decode()


@pytest_asyncio.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Starts the stand-in with a listener for each source, and stops it after the test."""
    started: list[Application] = []

    async def begin(*sources: dict[str, object]) -> Application:
        ports = [free_port() for _ in sources]
        config = tmp_path / "application.json"
        listeners = [{"listen": f"127.0.0.1:{port}", **source} for port, source in zip(ports, sources, strict=True)]
        config.write_text(json.dumps({"listeners": listeners}))
        (tmp_path / "tmp").mkdir()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "certlocal.site_application", str(config)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "TMPDIR": str(tmp_path / "tmp")},
        )
        application = Application(process, ports)
        started.append(application)
        for port in ports:
            await _listens(port)
        return application

    yield begin
    for application in started:
        code, errors = await application.stop()
        assert (code, errors) == (0, "")


async def _listens(port: int) -> None:
    async with asyncio.timeout(HANG_S):
        while True:
            with suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.02)


def deliver(store: Path, issued: Issued, number: int) -> None:
    """As a careful writer does: a whole folder, and then one rename of the link."""
    folder = store / f"revision-{number}"
    folder.mkdir(parents=True)
    (folder / "tls.crt").write_text(issued.chain_pem)
    (folder / "tls.key").write_text(issued.key_pem)
    link = store / ".new"
    link.symlink_to(folder.name)
    link.rename(store / "current")


def trusting(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=authority.root_pem)


@asynccontextmanager
async def visit(
    port: int, authority: Authority, *, name: str | None = _NAME
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    context = trusting(authority)
    if name is None:
        context.check_hostname = False
    async with asyncio.timeout(HANG_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=name or "")
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, more: str = "") -> str:
    writer.write(f"GET / HTTP/1.1\r\nhost: {_NAME}\r\n{more}\r\n".encode())
    async with asyncio.timeout(HANG_S):
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        return (await reader.readline()).decode().strip()


async def served(port: int, authority: Authority) -> str:
    async with visit(port, authority) as (reader, writer):
        return (await ask(reader, writer)).removeprefix("serial ")


async def test_a_handshake_is_refused_until_something_is_delivered(start: Start, tmp_path: Path) -> None:
    authority, store = Authority(), tmp_path / "store" / "shop"
    application = await start({"files": str(store / "current")})
    await application.told("nothing_to_serve")
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        await served(application.ports[0], authority)
    issued = authority.issue(_NAME)
    deliver(store, issued, 1)
    await application.told("pair_loaded", serial=issued.serial)
    assert await served(application.ports[0], authority) == issued.serial


async def test_a_connection_goes_on_with_its_pair_while_new_ones_get_the_next(start: Start, tmp_path: Path) -> None:
    authority, store = Authority(), tmp_path / "store"
    first, second = authority.issue(_NAME), authority.issue(_NAME)
    deliver(store, first, 1)
    application = await start({"files": str(store / "current")})
    await application.told("pair_loaded", serial=first.serial)
    async with visit(application.ports[0], authority) as (reader, writer):
        assert await ask(reader, writer) == f"serial {first.serial}"
        deliver(store, second, 2)
        await application.told("pair_loaded", serial=second.serial)
        assert await served(application.ports[0], authority) == second.serial
        assert await ask(reader, writer) == f"serial {first.serial}"


async def test_a_client_that_sends_no_name_is_served_too(start: Start, tmp_path: Path) -> None:
    authority = Authority()
    issued = authority.issue(_NAME)
    deliver(tmp_path / "store", issued, 1)
    application = await start({"files": str(tmp_path / "store" / "current")})
    await application.told("pair_loaded")
    async with visit(application.ports[0], authority, name=None) as (reader, writer):
        assert await ask(reader, writer) == f"serial {issued.serial}"


async def test_what_is_half_written_changes_nothing(start: Start, tmp_path: Path) -> None:
    authority, store = Authority(), tmp_path / "store"
    first, second = authority.issue(_NAME), authority.issue(_NAME)
    deliver(store, first, 1)
    application = await start({"files": str(store / "current")})
    await application.told("pair_loaded", serial=first.serial)
    folder = store / "revision-1"

    async def kept(times: int, reason: str) -> None:
        await application.told("pair_kept", times=times)
        assert application.lines[-1]["reason"].startswith(reason)
        assert await served(application.ports[0], authority) == first.serial

    (folder / "tls.crt").write_text(second.chain_pem)
    await kept(1, "chain and key can't be loaded: KEY_VALUES_MISMATCH")
    (folder / "tls.key").write_text(second.key_pem[:100])
    await kept(2, "chain and key can't be loaded")
    (folder / "tls.key").unlink()
    await kept(3, f"nothing lies at {store / 'current'}: No such file")
    (folder / "tls.key").write_text(second.key_pem)
    (folder / "tls.crt").write_text("")
    await kept(4, "chain holds no certificate")
    (store / "current").unlink()
    await kept(5, f"nothing lies at {store / 'current'}: No such file")
    (folder / "tls.crt").write_text(second.chain_pem)
    (store / "current").symlink_to("revision-1")
    await application.told("pair_loaded", serial=second.serial)
    assert await served(application.ports[0], authority) == second.serial


async def test_no_handshake_fails_while_pairs_change(start: Start, tmp_path: Path) -> None:
    authority, store = Authority(), tmp_path / "store"
    pairs = [authority.issue(_NAME) for _ in range(8)]
    deliver(store, pairs[0], 0)
    application = await start({"files": str(store / "current")})
    await application.told("pair_loaded")
    seen: list[str] = []
    stop = asyncio.Event()

    async def keep_visiting() -> None:
        while not stop.is_set():
            seen.append(await served(application.ports[0], authority))

    visitors = [asyncio.create_task(keep_visiting()) for _ in range(3)]
    for number, pair in enumerate(pairs[1:], start=1):
        deliver(store, pair, number)
        await application.told("pair_loaded", serial=pair.serial)
    await until(lambda: len(seen) >= 200)
    stop.set()
    await asyncio.gather(*visitors)
    assert set(seen) <= {pair.serial for pair in pairs}
    # The last visit may have begun before the last change: this one did not.
    assert await served(application.ports[0], authority) == pairs[-1].serial
    print(f"{len(seen)} handshakes over {len(pairs)} pairs")


async def test_it_bears_clients_that_speak_no_tls_or_no_http(start: Start, tmp_path: Path) -> None:
    authority = Authority()
    issued = authority.issue(_NAME)
    deliver(tmp_path / "store", issued, 1)
    application = await start({"files": str(tmp_path / "store" / "current")})
    await application.told("pair_loaded")
    port = application.ports[0]
    _, plain = await asyncio.open_connection("127.0.0.1", port)
    plain.write(b"GET / HTTP/1.1\r\n\r\n")
    plain.close()
    async with visit(port, authority) as (reader, writer):
        writer.write(b"x" * 200_000)
        async with asyncio.timeout(HANG_S):
            with suppress(ConnectionResetError):
                assert await reader.read() == b""
    async with visit(port, authority) as (reader, writer):
        assert await ask(reader, writer, more="content-length: 3\r\n") == f"serial {issued.serial}"
        assert await reader.read() == b""
    assert await served(port, authority) == issued.serial


async def test_it_stops_at_once_under_open_connections(start: Start, tmp_path: Path) -> None:
    authority = Authority()
    deliver(tmp_path / "store", authority.issue(_NAME), 1)
    application = await start({"files": str(tmp_path / "store" / "current")})
    await application.told("pair_loaded")
    async with visit(application.ports[0], authority) as (reader, writer):
        await ask(reader, writer)
        assert await application.stop() == (0, "")


@pytest.mark.parametrize(
    ("listener", "reason"),
    [
        ({"listen": "0.0.0.0:18443", "files": "/x"}, "loopback"),
        ({"listen": "127.0.0.1:99999", "files": "/x"}, "loopback"),
        ({"listen": "127.0.0.1:18443"}, "files or kubernetes"),
        ({"listen": "127.0.0.1:18443", "file": "/x"}, "Extra inputs"),
        (
            {"listen": "127.0.0.1:18443", "kubernetes": {"kubeconfig": "/x", "namespace": "a", "secret": "b"}},
            "/x can't be read",
        ),
    ],
)
async def test_a_configuration_that_can_not_be_used_is_told(
    tmp_path: Path, listener: dict[str, object], reason: str
) -> None:
    config = tmp_path / "application.json"
    config.write_text(json.dumps({"listeners": [listener]}))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "certlocal.site_application", str(config)),
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate()
    assert process.returncode == 1
    assert reason in errors.decode()
    assert "Traceback" not in errors.decode()


class Gate:
    """A way to an API server that can be shut."""

    def __init__(self, port: int) -> None:
        self._target = port
        self.port = free_port()
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._pass, "127.0.0.1", self.port)

    async def shut(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._open:
            writer.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back_reader, back_writer = await asyncio.open_connection("127.0.0.1", self._target)
        self._open |= {writer, back_writer}
        await asyncio.gather(self._copy(reader, back_writer), self._copy(back_reader, writer))

    @staticmethod
    async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while piece := await reader.read(65536):
                writer.write(piece)
                await writer.drain()
        writer.close()


def secret(issued: Issued, name: str) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": name},
        "data": {
            "tls.crt": base64.b64encode(issued.chain_pem.encode()).decode(),
            "tls.key": base64.b64encode(issued.key_pem.encode()).decode(),
        },
    }


async def test_a_secret_is_served_as_an_ingress_would(kube: servers.Kube, start: Start, tmp_path: Path) -> None:
    authority = Authority()
    first, second, third = (authority.issue(_NAME) for _ in range(3))
    cluster = kube.clusters[0]
    await cluster.api.ensure_namespaces(["site-application"])
    path = "/api/v1/namespaces/site-application/secrets"
    gate = Gate(int(cluster.server.rpartition(":")[2]))
    await gate.open()
    config = json.loads(cluster.kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{gate.port}"
    kubeconfig = tmp_path / "gate.kubeconfig"
    kubeconfig.write_text(json.dumps(config))
    application = await start(
        {"kubernetes": {"kubeconfig": str(kubeconfig), "namespace": "site-application", "secret": "shop-tls"}}
    )
    await application.told("nothing_to_serve", reason="secret site-application/shop-tls: the API answered 404")
    async with cluster.api.client() as api:
        assert (await api.post(path, json=secret(first, "shop-tls"))).is_success
        await application.told("pair_loaded", serial=first.serial)
        assert await served(application.ports[0], authority) == first.serial

        assert (await api.put(f"{path}/shop-tls", json=secret(second, "shop-tls"))).is_success
        await application.told("pair_loaded", serial=second.serial)
        assert await served(application.ports[0], authority) == second.serial

        await gate.shut()
        await application.told("pair_kept")
        assert (await api.put(f"{path}/shop-tls", json=secret(third, "shop-tls"))).is_success
        assert await served(application.ports[0], authority) == second.serial
        await gate.open()
        await application.told("pair_loaded", serial=third.serial)

        assert (await api.delete(f"{path}/shop-tls")).is_success
        await application.told("pair_kept", reason="secret site-application/shop-tls: the API answered 404")
        assert await served(application.ports[0], authority) == third.serial
    assert not list((tmp_path / "tmp").iterdir())
    assert "PRIVATE KEY" not in json.dumps(application.lines)
    await gate.shut()

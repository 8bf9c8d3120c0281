"""Certificates, keys and roots that change while their process runs, by real handshakes."""

import asyncio
import resource
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from structlog.testing import capture_logs

from certkit.tls import TlsFileError, TlsFiles, client_context, server_context
from certlocal.local_ca import LocalCa, Pair
from certlocal.process import ChildProcess
from certlocal.readiness import answers
from tests.fork_server import fork_server
from tests.ports import free_port

pytestmark = pytest.mark.integration


class Server:
    """Tells each client the serial number of the client's own certificate, or 0."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.port = free_port()
        self.context = context

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1):
            shown = writer.get_extra_info("ssl_object").getpeercert()
            writer.write(f"{int(shown['serialNumber'], 16) if shown else 0}\n".encode())
        writer.close()


@asynccontextmanager
async def _serving(files: TlsFiles) -> AsyncIterator[Server]:
    served = Server(server_context(files))
    async with await asyncio.start_server(served.serve, "127.0.0.1", served.port, ssl=served.context):
        yield served


class Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @property
    def serial_of_server(self) -> int:
        return int(self._writer.get_extra_info("peercert")["serialNumber"], 16)

    @property
    def version(self) -> str | None:
        version: str | None = self._writer.get_extra_info("ssl_object").version()
        return version

    async def serial_of_client(self) -> int:
        self._writer.write(b".")
        answer = await self._reader.readline()
        if not answer:
            # A client of TLS 1.3 has shaken hands before the server judges its certificate.
            raise ConnectionError("the server hung up")
        return int(answer)


@asynccontextmanager
async def _connected(port: int, context: ssl.SSLContext) -> AsyncIterator[Connection]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    try:
        yield Connection(reader, writer)
    finally:
        writer.transport.abort()


def _serial(pair: Pair) -> int:
    return x509.load_pem_x509_certificate(pair.certificate_file.read_bytes()).serial_number


def _copy(pair: Pair, folder: Path) -> TlsFiles:
    """The pair and its CA, under names that stay while the content changes."""
    files = TlsFiles(folder / "own.pem", folder / "own.key", folder / "ca.pem")
    folder.mkdir(exist_ok=True)
    for target, source in zip(_names(folder), (pair.certificate_file, pair.key_file, pair.ca_file), strict=True):
        target.write_bytes(source.read_bytes())
    return files


def _names(folder: Path) -> tuple[Path, Path, Path]:
    return folder / "own.pem", folder / "own.key", folder / "ca.pem"


def _unasking(files: TlsFiles) -> TlsFiles:
    return TlsFiles(files.certificate, files.key)


async def test_new_connections_get_the_new_pair_and_old_ones_go_on(tmp_path: Path) -> None:
    ca = LocalCa(tmp_path / "ca")
    before, after = ca.server("one"), ca.server("two")
    client = client_context(TlsFiles(ca=ca.ca_file))
    files = _unasking(_copy(before, tmp_path / "server"))
    async with _serving(files) as server, _connected(server.port, client) as old:
        assert old.serial_of_server == _serial(before)
        assert old.version == "TLSv1.3"
        with capture_logs() as logs:
            _copy(after, tmp_path / "server")
            async with _connected(server.port, client) as new:
                assert new.serial_of_server == _serial(after)
        assert [line["event"] for line in logs] == ["tls_files_loaded"]
        assert await old.serial_of_client() == 0


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        ("own.key", b"", "own.key: "),
        ("own.key", b"-----BEGIN PRIVATE KEY-----\nMIGH", "own.key: "),
        ("own.pem", b"", "own.pem: chain holds no certificate"),
        ("own.pem", b"-----BEGIN CERTIFICATE-----\nMIIB", "own.pem: chain has a certificate whose"),
        ("own.pem", None, "own.pem: can't be read: No such file"),
        ("own.key", None, "own.key: can't be read: No such file"),
    ],
)
async def test_a_half_written_pair_keeps_the_old_one_and_is_told_by_its_file(
    tmp_path: Path, file: str, content: bytes | None, told: str
) -> None:
    ca = LocalCa(tmp_path / "ca")
    before, after = ca.server("one"), ca.server("two")
    client = client_context(TlsFiles(ca=ca.ca_file))
    async with _serving(_unasking(_copy(before, tmp_path / "server"))) as server:
        path = tmp_path / "server" / file
        if content is None:
            path.unlink()
        else:
            path.write_bytes(content)
        with capture_logs() as logs:
            for _ in range(3):
                async with _connected(server.port, client) as connection:
                    assert connection.serial_of_server == _serial(before)
        assert [line["event"] for line in logs] == ["tls_files_refused"], "told once"
        assert told in logs[0]["error"]
        assert logs[0]["setting"] == ("key_file" if file == "own.key" else "certificate_file")
        _copy(after, tmp_path / "server")
        async with _connected(server.port, client) as connection:
            assert connection.serial_of_server == _serial(after)


async def test_a_pair_that_could_not_be_read_for_a_moment_is_read_at_the_next_connection(tmp_path: Path) -> None:
    ca = LocalCa(tmp_path / "ca")
    files = _unasking(_copy(ca.server("one"), tmp_path / "own"))
    context = server_context(files)

    def connection() -> None:
        context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_side=True)

    after = _copy(ca.server("two"), tmp_path / "own")
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    with capture_logs() as logs:
        # The process has no descriptor left: the files can be looked at, and not read.
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, limit[1]))
        try:
            connection()
            connection()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limit)
        connection()
        connection()
    assert [entry["event"] for entry in logs] == ["tls_files_refused", "tls_files_loaded"]
    assert "can't be read" in logs[0]["error"]
    assert logs[1]["certificate"] == str(after.certificate)


async def test_the_key_of_another_certificate_is_told(tmp_path: Path) -> None:
    ca = LocalCa(tmp_path / "ca")
    before, after = ca.server("one"), ca.server("two")
    files = _unasking(_copy(before, tmp_path / "server"))
    async with _serving(files) as server:
        (tmp_path / "server" / "own.key").write_bytes(after.key_file.read_bytes())
        with capture_logs() as logs:
            async with _connected(server.port, client_context(TlsFiles(ca=ca.ca_file))) as connection:
                assert connection.serial_of_server == _serial(before)
        assert "the private key doesn't fit the certificate" in logs[0]["error"]
    with pytest.raises(TlsFileError, match=r"own\.key: the private key doesn't fit"):
        server_context(files)


async def test_a_client_trusts_the_new_root_from_then_on_and_the_old_one_no_longer(tmp_path: Path) -> None:
    old, new = LocalCa(tmp_path / "old"), LocalCa(tmp_path / "new")
    roots = tmp_path / "roots.pem"
    roots.write_bytes(old.ca_file.read_bytes())
    client = client_context(TlsFiles(ca=roots))
    async with (
        _serving(_unasking(_copy(old.server("a"), tmp_path / "a"))) as first,
        _serving(_unasking(_copy(new.server("b"), tmp_path / "b"))) as second,
    ):
        async with _connected(first.port, client):
            pass
        with pytest.raises(ssl.SSLCertVerificationError):
            async with _connected(second.port, client):
                pass
        roots.write_bytes(new.ca_file.read_bytes())
        async with _connected(second.port, client):
            pass
        with pytest.raises(ssl.SSLCertVerificationError):
            async with _connected(first.port, client):
                pass


async def test_a_server_with_roots_takes_only_clients_of_theirs_each_with_its_newest_certificate(
    tmp_path: Path,
) -> None:
    ca, strange = LocalCa(tmp_path / "ca"), LocalCa(tmp_path / "strange")
    before, after = ca.client("one"), ca.client("two")
    own = client_context(_copy(before, tmp_path / "client"))
    stranger = client_context(
        TlsFiles(strange.client("s").certificate_file, strange.client("s").key_file, ca.ca_file)
    )
    nobody = client_context(TlsFiles(ca=ca.ca_file))
    async with _serving(_copy(ca.server("server"), tmp_path / "server")) as server:
        async with _connected(server.port, own) as connection:
            assert await connection.serial_of_client() == _serial(before)
        for other in (stranger, nobody):
            with pytest.raises((ssl.SSLError, ConnectionError)):
                async with _connected(server.port, other) as connection:
                    await connection.serial_of_client()
        _copy(after, tmp_path / "client")
        async with _connected(server.port, own) as connection:
            assert await connection.serial_of_client() == _serial(after)


async def test_what_is_older_than_tls_1_2_is_refused(tmp_path: Path) -> None:
    ca = LocalCa(tmp_path / "ca")
    old = ssl.create_default_context(cafile=ca.ca_file)
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    async with _serving(_unasking(_copy(ca.server("one"), tmp_path / "server"))) as server:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            async with _connected(server.port, old):
                pass


async def test_an_http_client_goes_on_with_the_newest_roots(tmp_path: Path) -> None:
    old, new = LocalCa(tmp_path / "old"), LocalCa(tmp_path / "new")
    roots = tmp_path / "roots.pem"
    roots.write_bytes(old.ca_file.read_bytes())

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        writer.close()

    port = free_port()
    context = server_context(_unasking(_copy(old.server("a"), tmp_path / "server")))
    async with (
        await asyncio.start_server(answer, "127.0.0.1", port, ssl=context),
        httpx.AsyncClient(verify=client_context(TlsFiles(ca=roots)), trust_env=False) as client,
    ):
        assert (await client.get(f"https://127.0.0.1:{port}/")).status_code == 200
        _copy(new.server("a"), tmp_path / "server")
        with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
            await client.get(f"https://127.0.0.1:{port}/")
        roots.write_bytes(new.ca_file.read_bytes())
        assert (await client.get(f"https://127.0.0.1:{port}/")).status_code == 200


@pytest.mark.parametrize("content", ["", "nothing", "-----BEGIN CERTIFICATE-----\nMIIB"])
def test_a_file_without_roots_is_told(tmp_path: Path, content: str) -> None:
    (tmp_path / "roots.pem").write_text(content)
    with pytest.raises(TlsFileError, match=r"roots\.pem: holds no certificates in PEM"):
        client_context(TlsFiles(ca=tmp_path / "roots.pem"))


def test_half_a_second_root_is_told(tmp_path: Path) -> None:
    root = LocalCa(tmp_path / "ca").ca_file.read_text()
    (tmp_path / "roots.pem").write_text(f"# Autorität\n{root}{root[: len(root) // 2]}")
    with pytest.raises(TlsFileError, match=r"roots\.pem: holds no certificates in PEM, or a broken one"):
        client_context(TlsFiles(ca=tmp_path / "roots.pem"))


async def test_a_running_service_serves_by_its_new_certificate(declared_bus: str, tmp_path: Path) -> None:
    ca = LocalCa(tmp_path / "ca")
    before, after = ca.server("one"), ca.server("two")
    _copy(before, tmp_path / "server")
    certificate, key, _ = _names(tmp_path / "server")
    port = free_port()
    (tmp_path / "token").write_text("none")
    (tmp_path / "monitor.toml").write_text(
        f"""
database_url = "sqlite:///{tmp_path}/monitor.db"
bus = {{ url = "{declared_bus}", identity = "monitor", plain_text = true }}
http = {{ port = {port}, certificate_file = "{certificate}", key_file = "{key}" }}
registry = {{ url = "https://127.0.0.1:1", token_file = "{tmp_path}/token" }}
"""
    )
    process = ChildProcess(
        name="monitor",
        argv=[sys.executable, "-m", "monitor"],
        start=fork_server(),
        log_path=tmp_path / "monitor.log",
        env={"CERTBUS_CONFIG_FILE": str(tmp_path / "monitor.toml")},
        ports=(port,),
    )
    try:
        process.start()
        await process.wait_ready(
            answers(f"https://127.0.0.1:{port}/healthz", instance=process.instance, ca_file=ca.ca_file)
        )
        client = client_context(TlsFiles(ca=ca.ca_file))
        for pair in (before, after):
            _copy(pair, tmp_path / "server")
            async with _connected(port, client) as connection:
                assert connection.serial_of_server == _serial(pair)
        certificate.write_text("half of i")
        async with _connected(port, client) as connection:
            assert connection.serial_of_server == _serial(after)
        assert "tls_files_refused" in process.log_path.read_text()
        async with httpx.AsyncClient(trust_env=False) as plain:
            with pytest.raises(httpx.HTTPError):
                await plain.get(f"http://127.0.0.1:{port}/healthz")
    finally:
        await process.stop()

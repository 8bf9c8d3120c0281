"""The bus over TLS with certificates on both sides, and what becomes of who has none."""

import asyncio
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import nats.errors
import pytest
from faststream.nats import NatsBroker
from opentelemetry.sdk.trace import TracerProvider
from prometheus_client import CollectorRegistry

from certcore.identities import HUB
from certkit.bus import make_broker
from certkit.bus_client import connect_bus
from certkit.settings import BusSettings
from certkit.telemetry import Telemetry
from certlocal.local_ca import LocalCa, Pair
from certlocal.nats_server import NatsServer
from tests.patience import HANG_S
from tests.ports import free_port

pytestmark = pytest.mark.integration


def _installed(pair: Pair, folder: Path) -> Pair:
    """The pair and its CA, under names that stay while the content changes."""
    folder.mkdir(exist_ok=True)
    target = Pair(folder / "own.pem", folder / "own.key", folder / "ca.pem")
    for file in ("certificate_file", "key_file", "ca_file"):
        getattr(target, file).write_bytes(getattr(pair, file).read_bytes())
    return target


@asynccontextmanager
async def _broker(folder: Path, pair: Pair) -> AsyncIterator[NatsServer]:
    """Open to everybody who shows a certificate of the CA: there are no NKeys."""
    server = NatsServer(folder=folder, port=free_port(), monitor_port=free_port(), tls=pair)
    try:
        await server.start()
        yield server
    finally:
        await server.stop()


def _settings(url: str, pair: Pair | None, ca_file: Path) -> BusSettings:
    return BusSettings(
        url=url,
        identity="monitor",
        ca_file=ca_file,
        certificate_file=pair.certificate_file if pair else None,
        key_file=pair.key_file if pair else None,
    )


def _service(settings: BusSettings) -> NatsBroker:
    provider = TracerProvider()
    telemetry = Telemetry(provider, provider.get_tracer("test"))
    return make_broker(settings, place=HUB, service="test", telemetry=telemetry, metrics=CollectorRegistry())


async def _refused(settings: BusSettings) -> None:
    with pytest.raises((nats.errors.Error, OSError)):
        await connect_bus(settings, allow_reconnect=False, max_reconnect_attempts=1, connect_timeout=5)


async def test_only_who_shows_a_certificate_of_the_brokers_ca_is_let_in(tmp_path: Path) -> None:
    ca, strange = LocalCa(tmp_path / "ca"), LocalCa(tmp_path / "strange")
    async with _broker(tmp_path / "nats", ca.server("nats")) as server:
        client = await connect_bus(_settings(server.url, ca.client("monitor"), ca.ca_file))
        assert client.is_connected
        await client.close()
        async with _service(_settings(server.url, ca.client("monitor"), ca.ca_file)) as service:
            await service.start()
            assert await service.ping(timeout=HANG_S)

        await _refused(_settings(server.url, None, ca.ca_file))
        await _refused(_settings(server.url, strange.client("monitor"), ca.ca_file))
        await _refused(_settings(server.url, ca.server("nats"), ca.ca_file))


async def test_the_end_of_a_connection_leaves_no_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ca = LocalCa(tmp_path / "ca")
    disconnected = asyncio.Event()

    async def told() -> None:
        disconnected.set()

    async with _broker(tmp_path / "nats", ca.server("nats")) as server:
        settings = _settings(server.url, ca.client("monitor"), ca.ca_file)
        client = await connect_bus(settings, disconnected_cb=told, error_cb=_quiet)
        await server.stop()
        await asyncio.wait_for(disconnected.wait(), HANG_S)
        await client.close()
    assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == []


async def _quiet(_: Exception) -> None:
    """nats-py prints a traceback for each try."""


async def test_a_broker_of_another_ca_is_not_trusted(tmp_path: Path) -> None:
    ca, strange = LocalCa(tmp_path / "ca"), LocalCa(tmp_path / "strange")
    async with _broker(tmp_path / "nats", strange.server("nats")) as server:
        with pytest.raises(ssl.SSLCertVerificationError):
            await connect_bus(
                _settings(server.url, strange.client("monitor"), ca.ca_file),
                allow_reconnect=False,
                max_reconnect_attempts=1,
            )


async def test_a_broker_that_asks_for_no_tls_is_told_nothing(tmp_path: Path) -> None:
    ca = LocalCa(tmp_path / "ca")
    heard: list[bytes] = []

    async def play_broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"server_id":"X","version":"2.15.1","max_payload":1048576,"tls_required":false}\r\n')
        heard.append(await reader.read(4096))
        writer.close()

    port = free_port()
    async with await asyncio.start_server(play_broker, "127.0.0.1", port):
        await _refused(_settings(f"tls://127.0.0.1:{port}", ca.client("monitor"), ca.ca_file))
    assert heard
    assert all(said.startswith(b"\x16\x03") for said in heard), "a TLS handshake, and no CONNECT"


async def test_a_running_service_goes_on_when_every_certificate_on_the_bus_is_replaced(tmp_path: Path) -> None:
    old, new = LocalCa(tmp_path / "old"), LocalCa(tmp_path / "new")
    _installed(old.server("nats"), tmp_path / "server")
    own = _installed(old.client("monitor"), tmp_path / "client")
    async with (
        _broker(tmp_path / "nats", _installed(old.server("nats"), tmp_path / "server")) as server,
        _service(_settings(server.url, own, own.ca_file)) as service,
    ):
        await service.start()
        assert await service.ping(timeout=HANG_S)
        _installed(new.server("nats"), tmp_path / "server")
        server.process.kill()
        await server.start()
        # By now it can't come back: neither side trusts the other.
        assert not await service.ping(timeout=1.0)
        _installed(new.client("monitor"), tmp_path / "client")
        assert await service.ping(timeout=HANG_S)


def test_the_declare_command_shows_its_certificate(tmp_path: Path) -> None:
    ca = LocalCa(tmp_path / "ca")
    pair = ca.client("operator")

    def declared(url: str, *options: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "certkit.declare", "--apply", "--url", url, "--ca-file", str(ca.ca_file)]
        return subprocess.run([*argv, *options], capture_output=True, text=True, check=False)

    async def run() -> None:
        async with _broker(tmp_path / "nats", ca.server("nats")) as server:
            shown = ("--certificate-file", str(pair.certificate_file), "--key-file", str(pair.key_file))
            done = await asyncio.to_thread(declared, server.url, *shown)
            assert done.returncode == 0, done.stderr
            assert "CERTS: missing (mended)" in done.stdout
            assert (await asyncio.to_thread(declared, server.url)).returncode == 2

    asyncio.run(run())


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--url", "nats://127.0.0.1:4222"], "--url: "),
        (["--certificate-file", "own.pem"], "--key-file: "),
        (["--ca-file", "/nowhere/ca.pem"], "/nowhere/ca.pem: can't be read"),
    ],
)
def test_the_declare_command_names_the_option_at_fault(options: list[str], told: str) -> None:
    argv = [sys.executable, "-m", "certkit.declare", *options]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert told in done.stderr

"""How a service meets whoever supervises it."""

import asyncio
import json
import os
import sys
from contextlib import suppress
from pathlib import Path

import httpx
import nats
import pytest

from certkit.readiness import Report
from tests.integration.certkit.monitor_process import running_monitor, start_monitor, until_told
from tests.patience import HANG_S
from tests.ports import free_port

pytestmark = pytest.mark.integration


async def test_a_service_that_can_not_consume_leaves_with_code_3_instead_of_only_looking_healthy(
    nats_url: str, tmp_path: Path
) -> None:
    process = await start_monitor(nats_url, tmp_path, port=free_port())
    told, _ = await asyncio.wait_for(process.communicate(), HANG_S)
    assert process.returncode == 3
    assert all(json.loads(line) for line in told.splitlines()), "each line of the log is JSON"


async def test_settings_that_are_missing_are_told_by_name_with_exit_code_2() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "monitor",
        env={name: value for name, value in os.environ.items() if not name.startswith("CERTBUS_")},
        stderr=asyncio.subprocess.PIPE,
    )
    _, told = await asyncio.wait_for(process.communicate(), HANG_S)
    assert process.returncode == 2
    assert b"setting bus: " in told
    assert b"CERTBUS_MONITOR_BUS" in told


_GIVES_UP = """
import asyncio, sys
from certcore.clock import system_clock
from certkit.background import Background
from certkit.bus import make_broker
from certkit.health import service_readiness
from certkit.lifecycle import service_app
from certkit.service import run
from certkit.settings import BusSettings, HttpSettings, TelemetrySettings
from certkit.telemetry import configure_telemetry
from prometheus_client import CollectorRegistry

telemetry, metrics = configure_telemetry("test", TelemetrySettings()), CollectorRegistry()
bus = BusSettings(plain_text=True, url=sys.argv[1], identity="test")
broker = make_broker(bus, place="hub", service="test", telemetry=telemetry, metrics=metrics)
background = Background(service="test", metrics=metrics, clock=system_clock)

async def fails():
    raise KeyError("the thread is gone")

async def drained():
    print('{"event": "drained"}', flush=True)

background.add("writer", fails, vital=True)
app = service_app(
    broker,
    telemetry=telemetry,
    metrics=metrics,
    readiness=service_readiness(broker=broker, bus=bus, background=background, metrics=metrics, clock=system_clock),
    background=background,
    at_shutdown=[drained],
)
run(app, HttpSettings(plain_text=True, port=int(sys.argv[2])), gave_up=app.gave_up)
"""


async def test_a_service_whose_vital_task_ended_finishes_its_work_and_leaves_with_code_3(nats_url: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _GIVES_UP, nats_url, str(free_port()), stdout=asyncio.subprocess.PIPE
    )
    told, _ = await asyncio.wait_for(process.communicate(), HANG_S)
    assert process.returncode == 3
    events = [json.loads(line)["event"] for line in told.splitlines()]
    assert [event for event in events if event in {"background_given_up", "service_gave_up", "drained"}] == [
        "background_given_up",
        "service_gave_up",
        "drained",
    ]


async def test_what_keeps_a_service_from_its_work_is_named_in_words_and_as_json(
    declared_bus: str, tmp_path: Path
) -> None:
    async with running_monitor(declared_bus, tmp_path) as monitor:
        client = monitor.http
        await until_told(client, "consumer CERTS/monitor: ok")
        bus = await nats.connect(declared_bus)
        await bus.jetstream().delete_stream("CERTS")
        await bus.close()
        response = await until_told(client, "FAIL consumer CERTS/monitor")
        assert response.status_code == 503
        first, *rest = response.text.splitlines()
        assert "consumer CERTS/monitor: the broker has no stream CERTS since 20" in first
        assert "expectations: the registry's expectations were not read yet" in first
        assert {line.partition(":")[0] for line in rest} >= {
            "ok   bus",
            "ok   task patrol",
            "ok   task heartbeat",
            f"ok   disk {tmp_path}",
        }
        response = await client.get("/readyz", headers={"accept": "application/json"})
        assert (response.status_code, response.headers["content-type"]) == (503, "application/json")
        report = Report.model_validate_json(response.text)
        assert "consumer CERTS/monitor" in (report.reason or "")


async def test_who_hangs_up_or_sends_headers_without_end_leaves_no_traceback(
    declared_bus: str, tmp_path: Path
) -> None:
    async with running_monitor(declared_bus, tmp_path) as monitor:
        client, process = monitor.http, monitor.process
        await until_told(client, "consumer CERTS/monitor: ok")
        for path in ("/readyz", "/metrics", "/healthz", "/nowhere"):
            for sent in (b"", b"GET", f"GET {path} HTTP/1.1\r\nhost: x\r\n".encode()):
                await _hang_up(client, sent)
            for _ in range(20):
                await _hang_up(client, f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
            await _hang_up(client, f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nhalf".encode())
        await _send_headers_until_refused(client)
        assert (await client.get("/healthz")).status_code == 200
        process.terminate()
        told, _ = await asyncio.wait_for(process.communicate(), HANG_S)
    lines = [json.loads(line) for line in told.splitlines()]
    assert [line for line in lines if "exception" in line or line.get("level") == "error"] == []


async def _hang_up(client: httpx.AsyncClient, sent: bytes) -> None:
    """Send this, and reset the connection without reading an answer."""
    _, writer = await asyncio.open_connection("127.0.0.1", client.base_url.port)
    writer.write(sent)
    await writer.drain()
    writer.transport.abort()


async def _send_headers_until_refused(client: httpx.AsyncClient) -> None:
    """They stay in memory until the last has come: the reader must have an end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", client.base_url.port)
    writer.write(b"GET /healthz HTTP/1.1\r\nhost: x\r\n")
    with suppress(ConnectionError):
        for number in range(100):
            writer.write(b"x-%d: " % number + b"y" * 10_000 + b"\r\n")
            await writer.drain()
        writer.write(b"\r\n")
        await writer.drain()
    answer = b""
    with suppress(ConnectionError):
        answer = await asyncio.wait_for(reader.read(), HANG_S)
    assert b"200 OK" not in answer
    writer.transport.abort()

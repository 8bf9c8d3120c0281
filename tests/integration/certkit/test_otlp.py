"""Traces leave by OTLP/HTTP where that is configured."""

import asyncio

import pytest

from certkit.settings import TelemetrySettings
from certkit.telemetry import configure_telemetry
from tests.ports import free_port

pytestmark = pytest.mark.integration


class Collector:
    def __init__(self) -> None:
        self.requests: list[bytes] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        self.requests.append(head + await reader.readexactly(length))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()


async def test_a_span_reaches_the_collector() -> None:
    collector, port = Collector(), free_port()
    server = await asyncio.start_server(collector, "127.0.0.1", port)
    settings = TelemetrySettings(otlp_endpoint=f"http://127.0.0.1:{port}/v1/traces")
    telemetry = configure_telemetry("issuer", settings)
    with telemetry.tracer.start_as_current_span("acme.order"):
        pass
    await asyncio.to_thread(telemetry.provider.shutdown)
    server.close()
    assert collector.requests
    assert collector.requests[0].startswith(b"POST /v1/traces ")

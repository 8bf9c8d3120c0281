"""Traces leave by OTLP/HTTP where that is configured."""

import asyncio

import pytest

from certkit.settings import TelemetrySettings
from certkit.telemetry import configure_telemetry
from tests.otlp_collector import otlp_collector

pytestmark = pytest.mark.integration


async def test_a_span_reaches_the_collector() -> None:
    async with otlp_collector() as collector:
        telemetry = configure_telemetry("issuer", TelemetrySettings(otlp_endpoint=collector.endpoint))
        with telemetry.tracer.start_as_current_span("acme.order"):
            pass
        await asyncio.to_thread(telemetry.provider.shutdown)
    assert collector.requests
    assert collector.requests[0].startswith(b"POST /v1/traces ")

"""A stop by SIGTERM: what was traced until then is exported, and the issuer is not ready any more."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from certcore.events import RevisionIssued
from certlocal.tools import Tell
from tests.integration.issuer.bus_peer import an_order
from tests.integration.issuer.scene import a_scene

pytestmark = pytest.mark.integration


@contextmanager
def collector() -> Iterator[tuple[str, list[bytes]]]:
    """An OTLP/HTTP collector that keeps what it gets."""
    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        serving = Thread(target=server.serve_forever)
        serving.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1/traces", bodies
        finally:
            server.shutdown()
            serving.join()


async def test_spans_that_wait_for_their_export_are_exported_at_a_stop(tmp_path: Path, tell: Tell) -> None:
    with collector() as (endpoint, bodies):
        async with a_scene(tmp_path, tell=tell) as scene:
            await scene.issuer.stop()
            # By itself it would export in an hour.
            env = {"CERTBUS_ISSUER_TELEMETRY__OTLP_ENDPOINT": endpoint, "OTEL_BSP_SCHEDULE_DELAY": "3600000"}
            traced = replace(scene.issuer, env=env)
            try:
                await traced.start()
                await scene.peer.order(an_order("traced", "traced.example.org"))
                await scene.peer.wait_for(RevisionIssued, certificate_ids=["traced"])
                assert bodies == []
            finally:
                await traced.stop()
        exported = b"".join(bodies)
    for span in (b"acme.order", b"acme.store_bundle", b"acme.report", b"certbus.variant"):
        assert span in exported

"""A monitor of its own process, and what it published."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import nats

from certcore import subjects
from certcore.clock import system_clock
from certcore.cloudevents import headers_of
from certcore.events import (
    AcceptedFingerprint,
    EndpointExpected,
    EndpointObserved,
    EndpointsExpected,
    EndpointsExpectedV1,
    ServingVerdict,
)
from certlocal.process import ChildProcess
from tests.authority import Authority, Issued
from tests.registry_standin import RegistryStandin
from tests.stream_reader import StreamReader

__all__ = ["HOST", "TRACE", "TRACEPARENT", "Watch"]

HOST = "shop.example.org"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


@dataclass
class Watch:
    process: ChildProcess
    registry: RegistryStandin
    observations: StreamReader
    alerts: StreamReader
    authority: Authority
    bus_url: str
    http_port: int
    folder: Path

    def expectation(
        self, url: str, *accepted: Issued, wanted: Issued, generation: int = 1, traceparent: str | None = None
    ) -> EndpointsExpected:
        """Revisions are numbered as they are given, the wanted one last; the registry's list names it from now on."""
        leaves = [
            AcceptedFingerprint(revision=number, fingerprint_sha256=issued.fingerprint)
            for number, issued in enumerate((*accepted, wanted), start=1)
        ]
        endpoint = EndpointExpected(url=url, wanted=tuple(leaves[-1:]), accepted=tuple(leaves[:-1]))
        expected = EndpointsExpected(
            certificate_id="c1",
            name="shop",
            owner="team-shop",
            generation=generation,
            endpoints=(endpoint,),
            traceparent=traceparent,
        )
        self.registry.expectations["c1"] = expected
        return expected

    async def publish(self, expected: EndpointsExpected | EndpointsExpectedV1, event_id: str) -> None:
        client = await nats.connect(self.bus_url)
        headers = headers_of(expected, event_id=event_id, source="/test", time=system_clock(), about="c1")
        headers["traceparent"] = TRACEPARENT
        subject = subjects.event(expected.type, "c1")
        await client.jetstream().publish(subject, expected.model_dump_json().encode(), headers=headers)
        await client.close()

    async def sees(self, verdict: ServingVerdict, *, within_s: float = 20.0) -> EndpointObserved:
        observed, _ = await self.observations.next(
            EndpointObserved, where=lambda event: event.verdict is verdict, within_s=within_s
        )
        return observed

    async def get(self, path: str) -> httpx.Response:
        async with httpx.AsyncClient(trust_env=False) as client:
            return await client.get(f"http://127.0.0.1:{self.http_port}{path}")

    def spans(self) -> list[dict[str, Any]]:
        lines = (self.folder / "traces.jsonl").read_text().splitlines()
        return [span for span in map(json.loads, lines) if span["name"] == "tls.handshake"]

"""The whole service, `python -m monitor`, with a real broker, a real name server and real TLS servers."""

import json
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import nats
import pytest
import pytest_asyncio

from certcore import subjects
from certcore.certificate import EndpointSpec
from certcore.clock import system_clock
from certcore.cloudevents import headers_of
from certcore.events import (
    AcceptedFingerprint,
    AlertRaised,
    AlertResolved,
    EndpointObserved,
    EndpointsExpected,
    ServingVerdict,
)
from certlocal.process import ChildProcess
from tests import servers
from tests.authority import Authority, Issued
from tests.ports import free_port
from tests.registry_standin import RegistryStandin, registry_standin
from tests.stream_reader import StreamReader, stream_reader
from tests.tls_servers import tls_server

pytestmark = pytest.mark.integration

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

    def expectation(self, url: str, *revisions: Issued, traceparent: str | None = None) -> EndpointsExpected:
        """The last one is wanted, all are accepted; the registry's list names it from now on."""
        expected = EndpointsExpected(
            certificate_id="c1",
            name="shop",
            owner="team-shop",
            endpoints=(EndpointSpec(url=url),),
            wanted_revision=len(revisions),
            accepted=tuple(
                AcceptedFingerprint(revision=number, fingerprint_sha256=issued.fingerprint)
                for number, issued in enumerate(revisions, start=1)
            ),
            traceparent=traceparent,
        )
        self.registry.expectations["c1"] = expected
        return expected

    async def publish(self, expected: EndpointsExpected, event_id: str) -> None:
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


@pytest_asyncio.fixture
async def watch(declared_bus: str, pebble: servers.Pebble, tmp_path: Path) -> AsyncIterator[Watch]:
    authority = Authority()
    (tmp_path / "roots.pem").write_text(authority.root_pem)
    async with (
        registry_standin() as registry,
        stream_reader(declared_bus, "certs.last.hub.monitor.>") as observations,
        stream_reader(declared_bus, "certs.alert.>") as alerts,
    ):
        http_port = free_port()
        (tmp_path / "monitor.toml").write_text(
            f"""
database_url = "sqlite+aiosqlite:///{tmp_path}/monitor.db"
ca_file = "{tmp_path}/roots.pem"
dns_servers = ["{pebble.dns}"]
period_s = 0.3
rollout_period_s = 0.1
rollout_grace_s = 600
refresh_every_s = 0.5
timeout_s = 2
bus = {{ url = "{declared_bus}", identity = "monitor" }}
http = {{ port = {http_port} }}
telemetry = {{ trace_file = "{tmp_path}/traces.jsonl" }}
registry = {{ url = "{registry.url}", token_file = "{registry.settings(tmp_path).token_file}" }}
"""
        )
        process = ChildProcess(
            name="monitor",
            argv=[sys.executable, "-m", "monitor"],
            log_path=tmp_path / "monitor.log",
            env={"CERTBUS_CONFIG_FILE": str(tmp_path / "monitor.toml")},
        )
        try:
            yield Watch(process, registry, observations, alerts, authority, declared_bus, http_port, tmp_path)
        finally:
            await process.stop()


async def test_a_roll_out_is_followed_to_its_proof_in_the_trace_that_began_it(watch: Watch) -> None:
    old, new = watch.authority.issue(HOST), watch.authority.issue(HOST)
    watch.process.start()
    async with tls_server(old) as server:
        url = f"https://{HOST}:{server.port}"
        await watch.publish(watch.expectation(url, old, new), "expected-2")
        previous = await watch.sees(ServingVerdict.PREVIOUS)
        assert previous.served_revision == 1
        assert watch.spans() == []
        server.show(new)
        proof, message = await watch.observations.next(
            EndpointObserved, where=lambda event: event.verdict is ServingVerdict.WANTED
        )
        assert message.subject == f"certs.last.hub.monitor.observed.{subjects.observation_key('c1', url)}"
        assert message.trace_id == TRACE
        assert (proof.url, proof.served_revision) == (url, 2)
        assert proof.served_fingerprint_sha256 == new.fingerprint
        assert [address.address for address in proof.addresses] == ["127.0.0.1"]
        [span] = watch.spans()
        assert span["context"]["trace_id"] == f"0x{TRACE}"
        assert span["attributes"] == {"url": url, "address": "127.0.0.1", "revision": 2, "verdict": "wanted"}
        assert span["context"]["span_id"] != "0x00f067aa0ba902b7"
        await watch.observations.settle(1.0)
        assert len(watch.spans()) == 1
        assert watch.alerts.published == []


async def test_what_no_event_told_is_read_from_the_registry_at_the_start(watch: Watch) -> None:
    issued = watch.authority.issue(HOST)
    async with tls_server(issued) as server:
        watch.expectation(f"https://{HOST}:{server.port}", issued, traceparent=TRACEPARENT)
        watch.process.start()
        await watch.sees(ServingVerdict.WANTED)
        assert [span["context"]["trace_id"] for span in watch.spans()] == [f"0x{TRACE}"]


async def test_whoever_asks_again_gets_the_proof_again(watch: Watch) -> None:
    issued = watch.authority.issue(HOST)
    watch.process.start()
    async with tls_server(issued) as server:
        expected = watch.expectation(f"https://{HOST}:{server.port}", issued)
        for number in range(3):
            await watch.publish(expected, f"expected-1-{number}")
            await watch.sees(ServingVerdict.WANTED)
        await watch.observations.settle(1.0)
        assert len(watch.observations.all(EndpointObserved)) == 3
        assert len(watch.spans()) == 1


async def test_an_alert_is_raised_once_and_resolved_once_over_kills(watch: Watch) -> None:
    issued, stranger = watch.authority.issue(HOST), Authority("stranger").issue(HOST)
    async with tls_server(issued) as server:
        url = f"https://{HOST}:{server.port}"
        watch.expectation(url, issued)
        watch.process.start()
        await watch.sees(ServingVerdict.WANTED)
        server.show(stranger)
        raised, message = await watch.alerts.next(AlertRaised)
        assert message.subject == f"certs.alert.team-shop.{raised.alert_id}"
        assert (raised.reason, raised.url, raised.owner) == ("serves_other_than_wanted", url, "team-shop")
        assert "stranger issuing CA" in raised.summary
        await watch.sees(ServingVerdict.OTHER)
        for _ in range(2):
            watch.process.kill()
            watch.process.start()
            again = await watch.sees(ServingVerdict.OTHER)
            assert again.served_fingerprint_sha256 == stranger.fingerprint
            await watch.alerts.settle(1.0)
        assert len(watch.alerts.published) == 1
        watch.process.kill()
        server.show(issued)
        watch.process.start()
        resolved, _ = await watch.alerts.next(AlertResolved)
        assert resolved.alert_id == raised.alert_id
        await watch.alerts.settle(1.0)
        assert len(watch.alerts.published) == 2
        assert len(watch.spans()) == 1


async def test_one_stale_address_of_two_holds_the_proof_back(watch: Watch, pebble: servers.Pebble) -> None:
    host = "two.example.org"
    old, new = watch.authority.issue(host), watch.authority.issue(host)
    async with httpx.AsyncClient(trust_env=False) as client:
        body = {"host": f"{host}.", "addresses": ["127.0.0.1", "127.0.0.2"]}
        (await client.post(f"{pebble.challtestsrv_url}/add-a", json=body)).raise_for_status()
    async with tls_server(new) as first, tls_server(old, host="127.0.0.2", port=first.port) as second:
        watch.process.start()
        await watch.publish(watch.expectation(f"https://{host}:{first.port}", old, new), "expected-2")
        mixed = await watch.sees(ServingVerdict.PREVIOUS)
        assert [(address.address, address.verdict) for address in mixed.addresses] == [
            ("127.0.0.1", ServingVerdict.WANTED),
            ("127.0.0.2", ServingVerdict.PREVIOUS),
        ]
        assert mixed.served_fingerprint_sha256 == old.fingerprint
        second.show(new)
        whole = await watch.sees(ServingVerdict.WANTED)
        assert len(whole.addresses) == 2
        assert {span["attributes"]["address"] for span in watch.spans()} == {"127.0.0.1", "127.0.0.2"}


async def test_each_way_to_be_wrong_has_its_verdict(watch: Watch) -> None:
    issued = watch.authority.issue(HOST)
    watch.process.start()
    async with tls_server(issued) as server:
        await watch.publish(watch.expectation(f"https://{HOST}:{server.port}", issued), "expected-1")
        await watch.sees(ServingVerdict.WANTED)
        server.show(issued, chain_pem=issued.leaf_pem)
        assert (await watch.sees(ServingVerdict.UNTRUSTED)).addresses[0].detail == "chain_incomplete"
        server.show(watch.authority.issue("else.example.org"))
        await watch.sees(ServingVerdict.WRONG_HOST)
        server.stop()
        unreachable = await watch.sees(ServingVerdict.UNREACHABLE)
        assert unreachable.addresses[0].detail == "connection refused"
        server.show(issued)
        server.start()
        await watch.sees(ServingVerdict.WANTED)


async def test_a_retired_certificate_is_left_alone_and_its_alert_ends(watch: Watch) -> None:
    issued = watch.authority.issue(HOST)
    async with tls_server(issued) as server:
        watch.expectation(f"https://{HOST}:{server.port}", issued)
        watch.process.start()
        await watch.sees(ServingVerdict.WANTED)
        server.show(Authority.self_signed(HOST))
        raised, _ = await watch.alerts.next(AlertRaised)
        watch.registry.expectations.clear()
        resolved, _ = await watch.alerts.next(AlertResolved)
        assert resolved.alert_id == raised.alert_id
        await watch.observations.settle(0.5)
        hellos = server.hellos
        await watch.observations.settle(1.0)
        assert server.hellos == hellos
        assert f'url="https://{HOST}:{server.port}"' not in (await watch.get("/metrics")).text


async def test_it_watches_on_while_the_registry_is_down(watch: Watch) -> None:
    issued = watch.authority.issue(HOST)
    async with tls_server(issued) as server:
        watch.expectation(f"https://{HOST}:{server.port}", issued)
        watch.process.start()
        await watch.sees(ServingVerdict.WANTED)
        watch.process.kill()
        watch.registry.down = True
        watch.process.start()
        await watch.sees(ServingVerdict.WANTED)
        server.show(Authority.self_signed(HOST))
        await watch.alerts.next(AlertRaised)


async def test_it_says_how_it_is_and_stops_when_asked(watch: Watch) -> None:
    issued = watch.authority.issue(HOST)
    async with tls_server(issued) as server:
        url = f"https://{HOST}:{server.port}"
        watch.expectation(url, issued)
        watch.process.start()
        await watch.sees(ServingVerdict.WANTED)
        metrics = (await watch.get("/metrics")).text
        assert f'probe_success{{url="{url}"}} 1.0' in metrics
        expiry = issued.leaf.not_valid_after_utc.timestamp()
        [line] = [line for line in metrics.splitlines() if line.startswith("probe_ssl_earliest_cert_expiry{")]
        assert float(line.split()[-1]) == expiry
        assert 'certbus_endpoint_verdict{verdict="wanted"} 1.0' in metrics
        assert (await watch.get("/readyz")).status_code == 200
        await watch.process.stop()
        assert watch.process.returncode in {0, -signal.SIGTERM}

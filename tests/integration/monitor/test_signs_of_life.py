"""What the service shows of itself: rounds, heartbeats, metrics, and its last spans."""

import asyncio
import signal

import pytest

from certcore.events import (
    CONTRACT,
    EndpointObserved,
    MissedEndpoint,
    ProbeRound,
    ServingVerdict,
    SiteHeartbeat,
)
from tests.integration.monitor.watch import HOST, TRACE, TRACEPARENT, Watch
from tests.tls_servers import tls_server

pytestmark = pytest.mark.integration


async def test_each_period_it_publishes_that_it_looked(watch: Watch) -> None:
    watch.process.start()
    empty, _ = await watch.observations.next(ProbeRound)
    assert (empty.worker, empty.looked, empty.missed, empty.missed_count) == ("monitor", 0, (), 0)
    assert (empty.ended - empty.started).total_seconds() >= empty.period_s * 0.9
    issued = watch.authority.issue(HOST)
    async with tls_server(issued) as server:
        await watch.publish(watch.expectation(f"https://{HOST}:{server.port}", wanted=issued), "expected-1")
        await watch.observations.next(ProbeRound, where=lambda item: item.looked == 1 and item.missed == ())


async def test_an_endpoint_that_was_not_judged_is_missed(watch: Watch) -> None:
    issued = watch.authority.issue(HOST)
    (watch.folder / "roots.pem").unlink()
    async with tls_server(issued) as server:
        url = f"https://{HOST}:{server.port}"
        watch.expectation(url, wanted=issued)
        watch.process.start()
        missed = MissedEndpoint(certificate_id="c1", url=url)
        await watch.observations.next(
            ProbeRound, where=lambda item: item.looked == 0 and item.missed == (missed,) and item.missed_count == 1
        )
        (watch.folder / "roots.pem").write_text(watch.authority.root_pem)
        await watch.observations.next(ProbeRound, where=lambda item: item.looked == 1)
        assert watch.observations.all(EndpointObserved)


async def test_it_publishes_that_it_is_alive(watch: Watch) -> None:
    watch.process.start()
    beats = [(await watch.observations.next(SiteHeartbeat))[0] for _ in range(2)]
    for beat in beats:
        assert (beat.site, beat.service, beat.contract) == ("hub", "monitor", CONTRACT)
        assert beat.version
    [started] = {beat.started for beat in beats}
    assert started is not None
    await watch.process.stop()
    watch.process.start()
    await watch.observations.next(
        SiteHeartbeat, where=lambda beat: beat.started is not None and beat.started > started
    )


async def test_the_proof_is_exported_before_it_stops(watch: Watch) -> None:
    spans = asyncio.Queue[bytes]()

    async def collect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        spans.put_nowait(await reader.readexactly(length))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    collector = await asyncio.start_server(collect, "127.0.0.1", 0)
    port = collector.sockets[0].getsockname()[1]
    issued = watch.authority.issue(HOST)
    async with tls_server(issued) as server:
        settings = (watch.folder / "monitor.toml").read_text()
        trace_file = f'trace_file = "{watch.folder}/traces.jsonl"'
        otlp = f'otlp_endpoint = "http://127.0.0.1:{port}/v1/traces"'
        (watch.folder / "monitor.toml").write_text(settings.replace(trace_file, otlp))
        watch.expectation(f"https://{HOST}:{server.port}", wanted=issued, traceparent=TRACEPARENT)
        watch.process.start()
        await watch.sees(ServingVerdict.WANTED)
        await watch.process.stop()
        exported = b"".join(spans.get_nowait() for _ in range(spans.qsize()))
        assert exported.count(b"tls.handshake") == 1
        assert bytes.fromhex(TRACE) in exported
    collector.close()


async def test_it_says_how_it_is_and_stops_when_asked(watch: Watch) -> None:
    issued = watch.authority.issue(HOST)
    async with tls_server(issued) as server:
        url = f"https://{HOST}:{server.port}"
        watch.expectation(url, wanted=issued)
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

"""The whole service, `python -m cdn_pusher`, with a real broker and a real HAProxy."""

import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
import nats
import pytest
import pytest_asyncio

from certcore import subjects
from certcore.clock import system_clock
from certcore.cloudevents import headers_of
from certcore.events import (
    CONTRACT,
    DeliveryFailed,
    DeliveryReason,
    DeliverySucceeded,
    DeliveryWithdrawn,
    DeploymentOrdered,
    DeploymentOrderedV1,
    Event,
    SiteHeartbeat,
)
from certcore.intent import Target
from certcore.sealing import RecipientKey, generate_recipient_key
from certlocal.process import ChildProcess
from certlocal.readiness import answers
from tests.authority import Issued
from tests.fork_server import fork_server
from tests.integration.cdn_pusher.balancer import DEFAULT, TARGET, Balancer, balancer, pem_of
from tests.integration.registry.bus import eventually
from tests.otlp_collector import otlp_collector
from tests.ports import free_port
from tests.registry_standin import RegistryStandin, registry_standin
from tests.servers import Haproxies
from tests.stream_reader import StreamReader, stream_reader

pytestmark = pytest.mark.integration

HOST = "shop.example.org"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


@dataclass
class Site:
    process: ChildProcess
    edge: Balancer
    registry: RegistryStandin
    reports: StreamReader
    recipient: RecipientKey
    bus_url: str
    http_port: int

    def order(
        self, issued: Issued, revision: int, *, generation: int | None = None, target: Target = TARGET
    ) -> DeploymentOrdered:
        return self.registry.want(
            issued.chain_pem,
            issued.key_pem,
            certificate_id="c1",
            name="shop",
            revision=revision,
            generation=generation,
            recipient=self.recipient,
            targets=[target],
        )

    async def publish(self, event: Event, event_id: str, *, traceparent: str | None = None) -> None:
        client = await nats.connect(self.bus_url)
        headers = headers_of(event, event_id=event_id, source="/test", time=system_clock(), about="c1")
        if traceparent:
            headers["traceparent"] = traceparent
        subject = subjects.deploy("site1", "pusher", "c1")
        await client.jetstream().publish(subject, event.model_dump_json().encode(), headers=headers)
        await client.close()

    async def deliver(self, issued: Issued, revision: int) -> DeliverySucceeded:
        await self.publish(self.order(issued, revision), f"order-{revision}", traceparent=TRACEPARENT)
        report, _ = await self.reports.next(DeliverySucceeded, where=lambda event: event.revision == revision)
        return report

    async def get(self, path: str) -> httpx.Response:
        async with httpx.AsyncClient(trust_env=False) as client:
            return await client.get(f"http://127.0.0.1:{self.http_port}{path}")

    async def ready(self) -> None:
        url = f"http://127.0.0.1:{self.http_port}/readyz"
        await self.process.wait_ready(answers(url, instance=self.process.instance))


@pytest_asyncio.fixture
async def site(haproxy: Haproxies, declared_bus: str, tmp_path: Path) -> AsyncIterator[Site]:
    async with (
        balancer(haproxy) as edge,
        registry_standin() as registry,
        stream_reader(declared_bus, "certs.*.site1.pusher.>") as reports,
    ):
        recipient = generate_recipient_key("site1-pusher", tmp_path / "recipient.key")
        http_port = free_port()
        (tmp_path / "pusher.toml").write_text(
            f"""
place = "site1"
reconcile_every_s = 0.5
heartbeat_every_s = 0.5
bus = {{ url = "{declared_bus}", identity = "site1-pusher", plain_text = true }}
http = {{ port = {http_port}, plain_text = true }}
telemetry = {{ trace_file = "{tmp_path}/traces.jsonl" }}
registry = {{ url = "{registry.url}", token_file = "{registry.settings(tmp_path).token_file}", plain_text = true }}
recipient = {{ name = "site1-pusher", key_file = "{tmp_path}/recipient.key" }}

[targets.haproxy.default]
socket = "{edge.place.socket}"
directory = "{edge.place.directory}"
crt_list = "{edge.place.crt_list}"
probe = ["127.0.0.1:{edge.place.port}"]
"""
        )
        process = ChildProcess(
            name="cdn-pusher",
            ports=(http_port,),
            argv=[sys.executable, "-m", "cdn_pusher"],
            start=fork_server(),
            log_path=tmp_path / "pusher.log",
            env={"CERTBUS_CONFIG_FILE": str(tmp_path / "pusher.toml")},
        )
        try:
            yield Site(process, edge, registry, reports, recipient, declared_bus, http_port)
        finally:
            await process.stop()


def changed(order: DeploymentOrdered, **facts: object) -> DeploymentOrdered:
    (placement,) = order.placements
    return order.model_copy(update={"placements": (placement.model_copy(update=facts),)})


async def serves(site: Site, issued: Issued) -> bool:
    return (await site.edge.served(HOST)).presented == pem_of(issued).presented


async def test_an_ordered_certificate_is_served_and_reported_in_the_orders_own_trace(site: Site) -> None:
    issued = site.edge.authority.issue(HOST)
    site.process.start()
    await site.ready()
    await site.publish(site.order(issued, 1), "order-1", traceparent=TRACEPARENT)
    report, message = await site.reports.next(DeliverySucceeded)
    assert report == DeliverySucceeded(
        certificate_id="c1", generation=1, revision=1, target="edge", fingerprint_sha256=issued.fingerprint
    )
    assert message.subject == "certs.status.site1.pusher.delivery_succeeded.c1"
    assert message.trace_id == TRACE
    assert await serves(site, issued)


async def test_orders_that_no_event_told_are_found_at_the_start(site: Site) -> None:
    issued = site.edge.authority.issue(HOST)
    site.order(issued, 1)
    site.process.start()
    await site.reports.next(DeliverySucceeded)
    assert await serves(site, issued)


async def test_only_the_newest_of_three_revisions_is_pushed_after_an_absence(site: Site) -> None:
    revisions = [site.edge.authority.issue(HOST) for _ in range(3)]
    for number, issued in enumerate(revisions, start=1):
        await site.publish(site.order(issued, number), f"order-{number}")
    site.process.start()
    report, _ = await site.reports.next(DeliverySucceeded)
    assert report.revision == 3
    assert await serves(site, revisions[2])
    await site.publish(site.order(revisions[0], 1), "order-1-again")
    site.order(revisions[2], 3)
    await site.reports.settle(1.5)
    assert {report.revision for report in site.reports.all(DeliverySucceeded)} == {3}
    assert [call for call in site.registry.calls if "bundles" in call] == ["/v1/bundles/c1/3?variant=platform"]
    assert await serves(site, revisions[2])


async def test_drift_is_repaired_without_any_event(site: Site) -> None:
    issued, stranger = site.edge.authority.issue(HOST), site.edge.authority.issue(HOST)
    site.process.start()
    assert not (await site.deliver(issued, 1)).repaired
    path = site.edge.place.directory / "shop.pem"
    await site.edge.place.runtime.set(path, pem_of(stranger).content)
    await site.edge.place.runtime.commit(path)
    report, _ = await site.reports.next(DeliverySucceeded)
    assert report.repaired
    assert await serves(site, issued)


async def test_a_haproxy_that_was_away_gets_its_certificate_when_it_is_back(site: Site) -> None:
    first, second = site.edge.authority.issue(HOST), site.edge.authority.issue(HOST)
    site.process.start()
    await site.deliver(first, 1)
    await site.edge.server.stop()
    await site.publish(site.order(second, 2), "order-2")
    failure, _ = await site.reports.next(DeliveryFailed, where=lambda event: event.revision == 2)
    assert failure.reason is DeliveryReason.UNREACHABLE
    assert failure.next_try is not None
    await site.edge.server.start()
    await site.reports.next(DeliverySucceeded, where=lambda event: event.revision == 2)
    assert await serves(site, second)


async def test_while_a_haproxy_is_away_its_certificates_wait_and_only_what_found_it_out_is_reported(
    site: Site,
) -> None:
    await site.edge.server.stop()
    served = [f"n{number}.example.org" for number in range(20)]
    for number, host in enumerate(served):
        issued = site.edge.authority.issue(host)
        site.registry.want(
            issued.chain_pem,
            issued.key_pem,
            certificate_id=f"c{number}",
            name=f"n{number}",
            revision=1,
            recipient=site.recipient,
            targets=[TARGET],
        )
    site.process.start()
    out = 'certbus_destination_out_of_reach{destination="default",kind="haproxy"}'

    async def told(value: str) -> bool:
        return f"{out} {value}" in (await site.get("/metrics")).text

    await site.ready()
    await eventually(partial(told, "1.0"), what="it is out of reach")
    await site.reports.settle(2.5)
    reported = [event.certificate_id for event in site.reports.all(DeliveryFailed)]
    assert len(reported) == len(set(reported)) == 2
    await site.edge.server.start()
    for number in range(len(served)):
        await site.reports.next(DeliverySucceeded, where=partial(_is_of, f"c{number}"))
    assert await told("0.0")
    assert [(await site.edge.served(host)).leaf.dns_names for host in served] == [(host,) for host in served]


def _is_of(certificate_id: str, event: DeliverySucceeded) -> bool:
    return event.certificate_id == certificate_id


async def test_a_killed_pusher_goes_on_where_it_was(site: Site) -> None:
    first, second = site.edge.authority.issue(HOST), site.edge.authority.issue(HOST)
    site.process.start()
    await site.deliver(first, 1)
    site.process.kill()
    await site.publish(site.order(second, 2), "order-2")
    site.process.start()
    await site.reports.next(DeliverySucceeded, where=lambda event: event.revision == 2)
    assert await serves(site, second)


async def test_a_rollback_is_carried_out_by_a_running_and_by_a_restarted_pusher(site: Site) -> None:
    first, second = site.edge.authority.issue(HOST), site.edge.authority.issue(HOST)
    site.process.start()
    await site.deliver(first, 2)
    stale = site.order(second, 3)
    await site.publish(stale, "order-3")
    await site.reports.next(DeliverySucceeded, where=lambda event: event.generation == 3)
    await site.publish(site.order(first, 2, generation=4), "order-4")
    await site.reports.next(DeliverySucceeded, where=lambda event: (event.generation, event.revision) == (4, 2))
    assert await serves(site, first)
    await site.publish(stale, "order-3-again")
    await site.publish(site.order(second, 3, generation=5), "order-5")
    await site.reports.next(DeliverySucceeded, where=lambda event: event.generation == 5)
    site.process.kill()
    site.order(first, 2, generation=6)
    site.process.start()
    await site.reports.next(DeliverySucceeded, where=lambda event: (event.generation, event.revision) == (6, 2))
    assert await serves(site, first)


async def test_an_order_of_the_first_contract_is_still_carried_out(site: Site) -> None:
    issued = site.edge.authority.issue(HOST)
    (item,) = site.order(issued, 1).placements
    facts = item.model_dump(exclude={"target", "generation", "action", "variant"})
    old = DeploymentOrderedV1(
        certificate_id="c1", name="shop", dns_names=issued.dns_names, targets=(TARGET,), **facts
    )
    site.registry.orders.clear()
    site.process.start()
    await site.ready()
    await site.publish(old, "order-v1")
    report, _ = await site.reports.next(DeliverySucceeded)
    assert (report.generation, report.revision) == (1, 1)
    assert await serves(site, issued)


async def test_a_withdrawn_certificate_is_served_no_more(site: Site) -> None:
    issued = site.edge.authority.issue(HOST)
    site.process.start()
    await site.deliver(issued, 1)
    order = site.registry.withdraw(certificate_id="c1", name="shop", generation=2, targets=[TARGET])
    await site.publish(order, "order-2")
    report, _ = await site.reports.next(DeliveryWithdrawn)
    assert report == DeliveryWithdrawn(certificate_id="c1", target="edge", generation=2)
    assert (await site.edge.served(HOST)).leaf.dns_names == (DEFAULT,)


async def test_what_cant_be_delivered_is_told_with_its_reason(site: Site) -> None:
    issued = site.edge.authority.issue(HOST)
    site.process.start()
    await site.ready()

    elsewhere = Target.model_validate({**TARGET.model_dump(), "instance": "nowhere"})
    await site.publish(site.order(issued, 1, target=elsewhere), "order-1")
    failure, _ = await site.reports.next(DeliveryFailed)
    assert (failure.reason, failure.next_try) == (DeliveryReason.UNKNOWN_PLACE, None)

    order = site.order(issued, 2)
    forged = changed(order, bundle_sha256="0" * 64)
    site.registry.orders["c1"] = forged
    await site.publish(forged, "order-2")
    failure, _ = await site.reports.next(DeliveryFailed, where=lambda event: event.revision == 2)
    assert failure.reason is DeliveryReason.BUNDLE_INVALID

    site.registry.orders["c1"] = changed(order, generation=3, revision=3)
    failure, _ = await site.reports.next(DeliveryFailed, where=lambda event: event.revision == 3)
    assert failure.reason is DeliveryReason.BUNDLE_UNAVAILABLE

    assert (await site.edge.served(HOST)).leaf.dns_names == (DEFAULT,)
    await site.deliver(issued, 4)
    assert await serves(site, issued)


async def test_no_key_reaches_log_traces_or_reports(site: Site, tmp_path: Path) -> None:
    issued = site.edge.authority.issue(HOST)
    site.process.start()
    await site.deliver(issued, 1)
    await site.process.stop()
    secret = "".join(issued.key_pem.splitlines()[1:-1])
    told = (tmp_path / "pusher.log").read_text() + (tmp_path / "traces.jsonl").read_text()
    told += "".join(message.body.decode() for message in site.reports.published)
    assert "shop" in told
    assert secret[:60] not in told.replace("\n", "").replace("\\n", "")
    assert "PRIVATE KEY" not in told


async def test_it_beats_says_how_it_is_and_drains_when_asked_to_stop(site: Site) -> None:
    site.process.start()
    await site.ready()
    beat, message = await site.reports.next(SiteHeartbeat)
    assert (beat.site, beat.service, beat.contract) == ("site1", "pusher", CONTRACT)
    assert beat.kinds is not None
    assert "haproxy" in beat.kinds
    assert "files" not in beat.kinds
    assert message.subject == "certs.last.site1.pusher.heartbeat.pusher"
    await site.deliver(site.edge.authority.issue(HOST), 1)
    assert (await site.get("/healthz")).text == "ok"
    assert 'certbus_delivery_writes_total{kind="haproxy",reason="missing"} 1.0' in (await site.get("/metrics")).text
    await site.process.stop()
    assert site.process.returncode in {0, -signal.SIGTERM}


async def test_a_pusher_that_is_stopped_has_exported_its_last_span(site: Site, tmp_path: Path) -> None:
    config = tmp_path / "pusher.toml"
    async with otlp_collector() as collector:
        traces = f'telemetry = {{ otlp_endpoint = "{collector.endpoint}", '
        config.write_text(config.read_text().replace("telemetry = { ", traces))
        site.process.start()
        await site.deliver(site.edge.authority.issue(HOST), 1)
        # Sooner than the exporter would send by itself.
        await site.process.stop()
        exported = b"".join(collector.requests)
    assert b"deliver" in exported
    assert b"certbus.generation" in exported


async def test_it_starts_before_the_registry_and_catches_up(site: Site) -> None:
    issued = site.edge.authority.issue(HOST)
    site.registry.down = True
    site.order(issued, 1)
    site.process.start()
    beat, _ = await site.reports.next(SiteHeartbeat)
    assert "deployments: " in (beat.not_ready or "")
    assert (await site.get("/readyz")).status_code == 503
    site.registry.down = False
    await site.reports.next(DeliverySucceeded)
    assert await serves(site, issued)
    await site.reports.next(SiteHeartbeat, where=lambda beat: beat.not_ready is None)

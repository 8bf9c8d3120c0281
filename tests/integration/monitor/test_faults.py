"""What endpoints serve wrongly is reported and alerted on, and so is its end."""

import httpx
import pytest

from certcore.events import (
    AlertRaised,
    AlertResolved,
    AlertUpdated,
    EndpointObserved,
    ServingVerdict,
)
from tests import servers
from tests.authority import Authority
from tests.integration.monitor.watch import HOST, Watch
from tests.tls_servers import tls_server

pytestmark = pytest.mark.integration


async def test_an_endpoint_that_stops_serving_is_reported_at_the_second_look(watch: Watch) -> None:
    issued = watch.authority.issue(HOST)
    watch.process.start()
    async with tls_server(issued) as server:
        url = f"https://{HOST}:{server.port}"
        await watch.publish(watch.expectation(url, wanted=issued), "expected-1")
        await watch.sees(ServingVerdict.WANTED)
        server.stop()
        assert (await watch.sees(ServingVerdict.UNREACHABLE)).in_a_row == 2
        raised, _ = await watch.alerts.next(AlertRaised)
        assert (raised.severity, raised.subject) == ("warning", url)
        server.show(watch.authority.issue("else.example.org"))
        server.start()
        await watch.sees(ServingVerdict.WRONG_HOST)
        updated, message = await watch.alerts.next(AlertUpdated)
        assert (updated.severity, updated.alert_id, updated.since) == ("critical", raised.alert_id, raised.since)
        assert message.subject == f"certs.alert.team-shop.{raised.alert_id}"
        server.show(issued)
        assert (await watch.sees(ServingVerdict.WANTED)).in_a_row == 0
        resolved, _ = await watch.alerts.next(AlertResolved)
        assert resolved.alert_id == raised.alert_id
        assert all((item.in_a_row or 0) != 1 for item in watch.observations.all(EndpointObserved))


async def test_an_alert_is_raised_once_and_resolved_once_over_kills(watch: Watch) -> None:
    issued, stranger = watch.authority.issue(HOST), Authority("stranger").issue(HOST)
    async with tls_server(issued) as server:
        url = f"https://{HOST}:{server.port}"
        watch.expectation(url, wanted=issued)
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
        await watch.publish(watch.expectation(f"https://{host}:{first.port}", old, wanted=new), "expected-2")
        mixed = await watch.sees(ServingVerdict.PREVIOUS)
        assert [(address.address, address.verdict) for address in mixed.addresses] == [
            ("127.0.0.1", ServingVerdict.WANTED),
            ("127.0.0.2", ServingVerdict.PREVIOUS),
        ]
        assert mixed.served_fingerprint_sha256 == old.fingerprint
        second.show(new)
        whole = await watch.sees(ServingVerdict.WANTED)
        assert len(whole.addresses) == 2
        assert {span["attributes"]["certbus.address"] for span in watch.spans()} == {"127.0.0.1", "127.0.0.2"}


async def test_each_way_to_be_wrong_has_its_verdict(watch: Watch) -> None:
    issued = watch.authority.issue(HOST)
    watch.process.start()
    async with tls_server(issued) as server:
        await watch.publish(watch.expectation(f"https://{HOST}:{server.port}", wanted=issued), "expected-1")
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
        watch.expectation(f"https://{HOST}:{server.port}", wanted=issued)
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

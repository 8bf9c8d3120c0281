"""Expectations come by events and by the list; rollouts are followed to their proof."""

import pytest

from certcore import subjects
from certcore.events import (
    AcceptedFingerprint,
    AlertRaised,
    EndpointObserved,
    EndpointsExpectedV1,
    ServingVerdict,
)
from certcore.intent import Endpoint
from tests.authority import Authority
from tests.integration.monitor.watch import HOST, TRACE, TRACEPARENT, Watch
from tests.tls_servers import tls_server

pytestmark = pytest.mark.integration


async def test_a_rollout_is_followed_to_its_proof_in_the_trace_that_began_it(watch: Watch) -> None:
    old, new = watch.authority.issue(HOST), watch.authority.issue(HOST)
    watch.process.start()
    async with tls_server(old) as server:
        url = f"https://{HOST}:{server.port}"
        await watch.publish(watch.expectation(url, old, wanted=new), "expected-2")
        previous = await watch.sees(ServingVerdict.PREVIOUS)
        assert previous.served_revision == 1
        assert watch.spans() == []
        server.show(new)
        proof, message = await watch.observations.next(
            EndpointObserved, where=lambda event: event.verdict is ServingVerdict.WANTED
        )
        assert message.subject == subjects.last(
            "hub", "monitor", message.headers["ce-type"], subjects.observation_key("c1", url)
        )
        assert message.trace_id == TRACE
        assert (proof.url, proof.served_revision) == (url, 2)
        assert proof.served_fingerprint_sha256 == new.fingerprint
        assert [address.address for address in proof.addresses] == ["127.0.0.1"]
        [span] = watch.spans()
        assert span["context"]["trace_id"] == f"0x{TRACE}"
        assert span["attributes"] == {
            "certbus.certificate": "c1",
            "certbus.url": url,
            "certbus.address": "127.0.0.1",
            "certbus.verdict": "wanted",
            "certbus.variant": "platform",
            "certbus.revision": 2,
            "certbus.generation": 1,
        }
        assert span["context"]["span_id"] != "0x00f067aa0ba902b7"
        await watch.observations.settle(1.0)
        assert len(watch.spans()) == 1
        assert watch.alerts.published == []


async def test_a_rollback_is_proven_in_a_trace_of_its_own(watch: Watch) -> None:
    old, new = watch.authority.issue(HOST), watch.authority.issue(HOST)
    watch.process.start()
    async with tls_server(new) as server:
        url = f"https://{HOST}:{server.port}"
        forward = watch.expectation(url, old, wanted=new, generation=7)
        await watch.publish(forward, "forward")
        assert (await watch.sees(ServingVerdict.WANTED)).served_revision == 2
        leaves = forward.endpoints[0]
        back = forward.model_copy(
            update={
                "generation": 8,
                "endpoints": (leaves.model_copy(update={"wanted": leaves.accepted, "accepted": leaves.wanted}),),
            }
        )
        watch.registry.expectations["c1"] = back
        await watch.publish(back, "back")
        assert (await watch.sees(ServingVerdict.PREVIOUS)).generation == 8
        # An event that comes again changes nothing any more.
        await watch.publish(forward, "forward-again")
        server.show(old)
        proof = await watch.sees(ServingVerdict.WANTED)
        assert (proof.served_revision, proof.generation, proof.in_a_row) == (1, 8, 0)
        assert [span["attributes"]["certbus.generation"] for span in watch.spans()] == [7, 8]


async def test_an_event_of_the_earlier_contract_is_read(watch: Watch) -> None:
    issued = watch.authority.issue(HOST)
    async with tls_server(issued) as server:
        url = f"https://{HOST}:{server.port}"
        expected = EndpointsExpectedV1(
            certificate_id="c1",
            name="shop",
            owner="team-shop",
            endpoints=(Endpoint(url=url),),
            wanted_revision=3,
            accepted=(AcceptedFingerprint(revision=3, fingerprint_sha256=issued.fingerprint),),
        )
        watch.registry.expectations["c1"] = expected.upgraded()
        await watch.publish(expected, "expected-3")
        watch.process.start()
        proof = await watch.sees(ServingVerdict.WANTED)
        assert (proof.served_revision, proof.generation) == (3, 3)


async def test_what_no_event_told_is_read_from_the_registry_at_the_start(watch: Watch) -> None:
    issued = watch.authority.issue(HOST)
    async with tls_server(issued) as server:
        watch.expectation(f"https://{HOST}:{server.port}", wanted=issued, traceparent=TRACEPARENT)
        watch.process.start()
        await watch.sees(ServingVerdict.WANTED)
        assert [span["context"]["trace_id"] for span in watch.spans()] == [f"0x{TRACE}"]


async def test_whoever_asks_again_gets_the_proof_again(watch: Watch) -> None:
    issued = watch.authority.issue(HOST)
    watch.process.start()
    async with tls_server(issued) as server:
        expected = watch.expectation(f"https://{HOST}:{server.port}", wanted=issued)
        for number in range(3):
            await watch.publish(expected, f"expected-1-{number}")
            await watch.sees(ServingVerdict.WANTED)
        await watch.observations.settle(1.0)
        assert len(watch.observations.all(EndpointObserved)) == 3
        assert len(watch.spans()) == 1


async def test_what_cannot_be_read_in_the_list_is_watched_on(watch: Watch) -> None:
    issued = watch.authority.issue(HOST)
    async with tls_server(issued) as server:
        watch.expectation(f"https://{HOST}:{server.port}", wanted=issued)
        watch.process.start()
        await watch.sees(ServingVerdict.WANTED)
        watch.registry.unreadable = True
        calls = len(watch.registry.calls)
        while len(watch.registry.calls) < calls + 3:
            await watch.observations.settle(0.1)
        server.show(Authority.self_signed(HOST))
        await watch.sees(ServingVerdict.OTHER)


async def test_it_watches_on_while_the_registry_is_down(watch: Watch) -> None:
    issued = watch.authority.issue(HOST)
    async with tls_server(issued) as server:
        watch.expectation(f"https://{HOST}:{server.port}", wanted=issued)
        watch.process.start()
        await watch.sees(ServingVerdict.WANTED)
        watch.process.kill()
        watch.registry.down = True
        watch.process.start()
        await watch.sees(ServingVerdict.WANTED)
        server.show(Authority.self_signed(HOST))
        await watch.alerts.next(AlertRaised)

"""The whole way by dns-persist-01: people set one record, and Pebble takes it for a name and its wildcard."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from certcore.events import RevisionIssued
from certlocal.tools import Tell
from tests import servers
from tests.integration.issuer.bus_peer import an_order, bus_peer
from tests.integration.issuer.issuer_process import IssuerProcess, pebble_settings
from tests.integration.issuer.knot_world import a_record, knot_world
from tests.integration.issuer.scene import Scene, until
from tests.registry_standin import registry_standin

pytestmark = pytest.mark.integration


async def test_one_record_that_stays_proves_a_name_and_its_wildcard(tmp_path: Path, tell: Tell) -> None:
    async with (
        knot_world(tell=tell) as world,
        servers.broker(sites=servers.SITES) as broker,
        servers.pebble_ca(tell=tell, asks=world.primary.address) as pebble,
        registry_standin() as registry,
        bus_peer(broker.url) as peer,
    ):
        issuer = IssuerProcess(
            tmp_path,
            pebble,
            broker.url,
            registry.url,
            more_cas=tuple(pebble_settings(pebble, ("standing", ["dns-persist-01"]))),
            more_solvers={"people": {"kind": "dns-persist"}},
            dns_settings=world.dns_settings,
        )
        scene = Scene(pebble=pebble, peer=peer, registry=registry, issuer=issuer, broker=broker)
        names = ("standing.acme.test", "*.standing.acme.test")

        def why() -> str:
            return "; ".join(problem or "" for (problem,) in scene.journal("select problem from job"))

        try:
            await issuer.start()
            await peer.order(an_order("standing", *names, cas=("standing",)))
            await until(lambda: "the DNS owner must set" in why(), what="people are told the record")
            told = re.findall(r'(_validation-persist\S+)\. TXT "([^"]+)"', why())
            [(name, value)] = told
            async with world.solver() as people:
                await people.present([replace(a_record("people", value), record_name=name)])
            issued = (await peer.wait_for(RevisionIssued, certificate_ids=["standing"]))["standing"]
        finally:
            await issuer.stop()
        assert issued.validation_method == "dns-persist-01"
        assert await world.values(name) == {value}

"""The whole way: an issuer that updates a real Knot, and Pebble, which asks the secondary that lags behind."""

from pathlib import Path

import pytest

from certcore.events import RevisionIssued
from certlocal.tools import Tell
from tests.integration.issuer.bus_peer import an_order
from tests.integration.issuer.knot_world import knot_world
from tests.integration.issuer.scene import a_scene, until

pytestmark = pytest.mark.integration


async def test_a_ca_is_asked_to_look_only_when_the_slowest_server_shows_wildcard_and_apex(
    tmp_path: Path, tell: Tell
) -> None:
    async with (
        knot_world(tell=tell) as world,
        a_scene(
            tmp_path,
            tell=tell,
            bad_nonces_percent=0,
            pebble_asks=world.secondary.address,
            more_solvers={"knot": {**world.solver_settings, "match": ["example.test", "*.example.test"]}},
            dns_settings=world.dns_settings,
        ) as scene,
    ):
        world.transfers.open = False
        # Pebble is given an authoritative server for a resolver, so only a CNAME within a zone is followed for it.
        names = ("example.test", "*.example.test", "inside.example.test")
        await scene.peer.order(an_order("wild", *names, cas=("by-dns",)))

        def why() -> str:
            return "; ".join(problem or "" for (problem,) in scene.journal("select problem from job"))

        lacking = f"ns2.example.test (127.0.0.2:{world.secondary.port}) lacks the TXT record of"
        await until(lambda: lacking in why(), what="the issuer knows who lacks the record")
        assert len(await world.values("_acme-challenge.example.test")) == 2
        turned_away = world.transfers.turned_away
        await until(lambda: world.transfers.turned_away > turned_away + 1, what="the secondary tries in vain")
        assert scene.pebble.finalized_orders() == []
        assert lacking in why()

        world.transfers.open = True
        issued = (await scene.peer.wait_for(RevisionIssued, certificate_ids=["wild"]))["wild"]

        assert issued.validation_method == "dns-01"
        assert len(scene.pebble.finalized_orders()) == 1
        assert scene.logged("order_abandoned") == []
        assert scene.logged("job_failed") == []
        assert await world.values("_acme-challenge.example.test") == set()
        assert await world.values("proof.example.test") == set()
        chosen = {line["solver"] for line in scene.logged("challenge_chosen")}
        assert chosen == {"knot"}

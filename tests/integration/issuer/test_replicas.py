"""Two issuers on one journal: each job is worked off by one of them."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from certcore.events import RevisionIssued
from certlocal.tools import Tell
from tests.integration.issuer.bus_peer import an_order
from tests.integration.issuer.scene import a_scene, until
from tests.ports import free_port

pytestmark = pytest.mark.integration


def _stored_by(folder: Path) -> Counter[str]:
    """How many bundles each issuer handed over, by its log."""
    return Counter({log.name: log.read_text().count('"bundle_stored"') for log in folder.glob("*.log")})


async def test_two_issuers_on_one_journal_finalize_each_order_once(tmp_path: Path, tell: Tell) -> None:
    names = [f"r{number}" for number in range(16)]
    async with a_scene(tmp_path, tell=tell) as scene:
        second = replace(scene.issuer, name="second", http01_port=free_port())
        try:
            await second.start()
            # Each order comes twice, so that both are likely to hear of it.
            for name in names + names:
                await scene.peer.order(an_order(name, f"{name}.example.org"))
            await scene.peer.wait_for(RevisionIssued, certificate_ids=names)
        finally:
            await second.stop()
        assert len(scene.pebble.finalized_orders()) == len(names)
        assert scene.registry.differing == []
        share = _stored_by(tmp_path)
        tell(f"bundles stored by each of two issuers: {dict(share)}")
        assert share.total() == len(names)


async def test_what_one_issuer_leaves_at_its_end_the_other_takes_up(tmp_path: Path, tell: Tell) -> None:
    async with a_scene(tmp_path, tell=tell) as scene:
        scene.registry.down = True
        await scene.peer.order(an_order("handed-on", "handed-on.example.org"))
        await until(lambda: scene.logged("job_failed"), what="a certificate without a registry to take it")
        await scene.issuer.stop()
        scene.registry.down = False
        second = replace(scene.issuer, name="second", http01_port=free_port())
        try:
            await second.start()
            await scene.peer.wait_for(RevisionIssued, certificate_ids=["handed-on"])
        finally:
            await second.stop()
        assert len(scene.pebble.finalized_orders()) == 1

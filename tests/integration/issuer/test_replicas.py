"""Two issuers on one journal: each job is worked off by one of them."""

import base64
import random
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from certcore.events import RevisionIssued
from certlocal.tools import Tell
from tests.integration.issuer.bus_peer import an_order
from tests.integration.issuer.scene import a_scene, until
from tests.ports import free_port
from tests.postgres_server import postgres

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


async def test_two_hosts_on_one_postgres_finalize_each_order_once(tmp_path: Path, tell: Tell) -> None:
    names = [f"h{number}" for number in range(24)]
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    key = state / "journal.key"
    key.write_text(base64.urlsafe_b64encode(random.SystemRandom().randbytes(32)).decode())
    key.chmod(0o600)
    async with (
        postgres() as server,
        a_scene(tmp_path, tell=tell, database_url=await server.database("journal")) as scene,
    ):
        await scene.peer.order(an_order("first", "first.example.org"))
        await scene.peer.wait_for(RevisionIssued, certificate_ids=["first"])
        # The second host is given the keys of the first, and has a folder of its own.
        other = tmp_path / "other"
        shutil.copytree(state, other, ignore=shutil.ignore_patterns("worker"))
        second = replace(scene.issuer, name="second", http01_port=free_port(), state_folder=other)
        try:
            await second.start()
            for name in names + names:
                await scene.peer.order(an_order(name, f"{name}.example.org"))
            await until(lambda: len(scene.registry.issued) > 4, what="some of the bundles")
            # Whoever it leaves jobs to takes them up when its leases have run out, or sooner.
            await second.stop()
            await scene.peer.wait_for(RevisionIssued, certificate_ids=names)
        finally:
            await second.stop()
        assert len(scene.pebble.finalized_orders()) == len(names) + 1
        assert scene.registry.differing == []
        share = _stored_by(tmp_path)
        tell(f"bundles stored by each of two hosts: {dict(share)}")
        assert share.total() == len(names) + 1
        assert len(share) == 2


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

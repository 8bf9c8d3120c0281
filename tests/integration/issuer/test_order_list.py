"""What the registry lists as ordered and not issued is issued once, whatever the bus carried or lost."""

import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing

import httpx
import nats
import pytest
import pytest_asyncio

from certcore.api import IssuedReport, IssuedRevision
from certcore.events import RevisionFailed, RevisionIssued, RevisionStarted
from certcore.placements import PLATFORM
from certkit.declare import declare
from certkit.topology import topology
from certlocal.tools import Tell
from tests import servers
from tests.integration.issuer.bus_peer import an_order, bus_peer
from tests.integration.issuer.recipients import opened
from tests.integration.issuer.scene import Scene, a_scene, until

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory, tell: Tell) -> AsyncIterator[Scene]:
    async with a_scene(tmp_path_factory.mktemp("issuer"), tell=tell, orders_every_s=0.5) as ready:
        yield ready


@pytest.fixture
def scene(running: Scene) -> Iterator[Scene]:
    yield running
    running.registry.issue_orders.clear()


@pytest.fixture
def finalized(running: Scene) -> Callable[[], int]:
    """How many orders were finalized in this test."""
    before = len(running.pebble.finalized_orders())
    return lambda: len(running.pebble.finalized_orders()) - before


def listed(scene: Scene, name: str, **fields: object) -> None:
    scene.registry.issue_orders[name, 1, PLATFORM] = an_order(name, f"{name}.example.org", **fields)  # type: ignore[arg-type] # a field each


def long_stored(scene: Scene) -> None:
    """As if each bundle had been stored an hour ago: what comes now is no report that is on its way."""
    with closing(sqlite3.connect(scene.issuer.database_file, timeout=30)) as database, database:
        database.execute("UPDATE job SET stored_at = datetime(stored_at, '-1 hour') || '.000000'")


async def test_what_was_never_announced_is_issued(scene: Scene, finalized: Callable[[], int]) -> None:
    listed(scene, "unheard")
    await scene.peer.wait_for(RevisionIssued, certificate_ids=["unheard"])
    opened(scene.registry.issued["unheard", 1, PLATFORM], "unheard", 1)
    assert len(scene.peer.reports(RevisionStarted, "unheard")) == 1
    # It stays in the list, and is announced after all.
    await scene.peer.order(an_order("unheard", "unheard.example.org"))
    await until(lambda: scene.logged("issue_order_repeated"), what="the event is read")
    assert finalized() == 1


async def test_what_is_stored_here_and_lost_there_is_handed_over_again(
    scene: Scene, finalized: Callable[[], int]
) -> None:
    await scene.peer.order(an_order("lost", "lost.example.org"))
    await scene.peer.wait_for(RevisionIssued, certificate_ids=["lost"])
    before = scene.registry.issued.pop(("lost", 1, PLATFORM))
    long_stored(scene)
    listed(scene, "lost")
    await until(lambda: len(scene.peer.reports(RevisionIssued, "lost")) == 2, what="it is reported a second time")
    assert scene.registry.issued["lost", 1, PLATFORM] == before
    assert finalized() == 1


async def test_what_was_given_up_is_tried_when_its_issue_order_was_mended(scene: Scene) -> None:
    listed(scene, "hopeless", key_algorithm="ml-dsa-65")
    await scene.peer.wait_for(RevisionFailed, certificate_ids=["hopeless"])
    reads = _reads(scene)
    await until(lambda: _reads(scene) >= reads + 3, what="the list is read again and again")
    assert len(scene.peer.reports(RevisionFailed, "hopeless")) == 1
    listed(scene, "hopeless")
    await scene.peer.wait_for(RevisionIssued, certificate_ids=["hopeless"])


async def test_an_order_that_nobody_can_identify_holds_up_no_other(scene: Scene) -> None:
    scene.registry.issue_orders["odd", 1, PLATFORM] = an_order("odd", "odd.example.org", variant="../escaped")
    listed(scene, "even")
    await scene.peer.wait_for(RevisionIssued, certificate_ids=["even"])


async def test_a_restored_registry_is_told_what_there_is_and_gets_what_it_lost(
    scene: Scene, finalized: Callable[[], int]
) -> None:
    names = ["kept", "gone", "gone-too"]
    for name in names:
        await scene.peer.order(an_order(name, f"{name}.example.org"))
    await scene.peer.wait_for(RevisionIssued, certificate_ids=names)
    issued = dict(scene.registry.issued)
    for name in names[1:]:
        del scene.registry.issued[name, 1, PLATFORM]
    scene.registry.reported.clear()
    scene.registry.epoch += 1
    await until(
        lambda: (
            {name for name in names if len(scene.peer.reports(RevisionIssued, name)) == 2} == {"gone", "gone-too"}
        ),
        what="what was lost is reported a second time",
    )
    assert scene.registry.issued == issued
    parts = list(scene.registry.reported)
    assert [part.complete for part in parts] == [*[False] * (len(parts) - 1), True]
    assert {part.epoch for part in parts} == {scene.registry.epoch}
    assert {(item.certificate_id, item.revision, item.variant) for item in _items(parts)} == set(issued)
    reads = _reads(scene)
    await until(lambda: _reads(scene) >= reads + 3, what="the list is read again and again")
    assert scene.registry.reported == parts
    assert finalized() == len(names)


def _items(parts: list[IssuedReport]) -> list[IssuedRevision]:
    return [item for part in parts for item in part.revisions]


async def test_a_report_that_broke_off_is_made_again(scene: Scene, finalized: Callable[[], int]) -> None:
    """The issuer is killed when its report came, before what is wanted was handed over."""
    await scene.peer.order(an_order("twice", "twice.example.org"))
    await scene.peer.wait_for(RevisionIssued, certificate_ids=["twice"])
    del scene.registry.issued["twice", 1, PLATFORM]
    scene.registry.reported.clear()
    scene.registry.epoch += 1
    await until(lambda: scene.registry.reported, what="a part of the report")
    scene.issuer.process.kill()
    await scene.issuer.process.wait(timeout_s=30)
    await scene.issuer.start()
    await until(lambda: ("twice", 1, PLATFORM) in scene.registry.issued, what="the bundle is handed over again")
    await until(
        lambda: scene.journal("SELECT reported FROM registry_epoch") == [(scene.registry.epoch,)], what="it is noted"
    )
    assert scene.registry.differing == []
    assert finalized() == 1


async def test_a_registry_that_does_not_answer_holds_up_nothing_but_readiness(scene: Scene) -> None:
    await scene.issuer.stop()
    scene.registry.down = True
    await scene.peer.order(an_order("meanwhile", "meanwhile.example.org"))
    scene.issuer.process.start()
    await until(
        lambda: any(line["certificate_id"] == "meanwhile" for line in scene.logged("job_failed")),
        what="a certificate without a registry to take it",
    )
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"{scene.issuer.url}/readyz")
    assert answer.status_code == 503
    assert "FAIL orders: the issue orders were not read from the registry yet" in answer.text.splitlines()
    scene.registry.down = False
    await scene.peer.wait_for(RevisionIssued, certificate_ids=["meanwhile"])


def _reads(scene: Scene) -> int:
    return sum(call.startswith("/v1/orders") for call in scene.registry.calls)


async def test_a_broker_whose_store_was_wiped_loses_no_order(
    tmp_path_factory: pytest.TempPathFactory, tell: Tell
) -> None:
    names = [f"w{number}" for number in range(4)]
    async with a_scene(tmp_path_factory.mktemp("issuer"), tell=tell, orders_every_s=0.5) as scene:
        await scene.issuer.stop()
        for name in names[:2]:
            await scene.peer.order(an_order(name, f"{name}.example.org"))
        await scene.broker.stop()
        shutil.rmtree(scene.broker.store)
        await scene.broker.start()
        client = await nats.connect(scene.broker.url)
        await declare(client.jetstream(), topology(servers.SITES), apply=True)
        await client.close()
        for name in names:
            listed(scene, name)
        async with bus_peer(scene.broker.url) as peer:
            await scene.issuer.start()
            # The scene's own reader may be back as well: then each gets some of the reports.
            readers = (scene.peer, peer)
            await until(
                lambda: (
                    {event.certificate_id for one in readers for event in one.reports(RevisionIssued)} == {*names}
                ),
                what="each is reported",
            )
        assert len(scene.pebble.finalized_orders()) == len(names)

"""Orders of a CA whose limits are known: what is left of them is stored, and nothing is sent in vain."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing

import httpx
import pytest
import pytest_asyncio

from certcore.clock import system_clock
from certcore.events import MustAct, RevisionIssued, RevisionWaits, WaitCode
from certlocal.tools import Tell
from tests.acme_ca.running import RunningCa, running_ca
from tests.integration.issuer.bus_peer import an_order
from tests.integration.issuer.scene import IssuerScene, issuer_scene, until
from tests.patience import HANG_S

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory, tell: Tell) -> AsyncIterator[RunningCa]:
    async with running_ca(tmp_path_factory.mktemp("ca"), tell=tell) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory, served: RunningCa) -> AsyncIterator[IssuerScene]:
    ca = {
        "name": "desk",
        "directory_url": served.directory_url,
        "ca_file": str(served.ca_file),
        "challenges": ["http-01"],
        "public": False,
        "budget": {"share": 1.0, "new_orders": {"count": 3, "period": "P1D"}},
    }
    often = {"waits_every_s": 0.3}
    async with issuer_scene(tmp_path_factory.mktemp("issuer"), served, more_cas=(ca,), more_settings=often) as ready:
        yield ready


async def metrics(scene: IssuerScene) -> str:
    async with httpx.AsyncClient(trust_env=False) as client:
        return (await client.get(f"http://127.0.0.1:{scene.issuer.http_port}/metrics")).raise_for_status().text


def waiting(scene: IssuerScene) -> dict[str, str]:
    with sqlite3.connect(scene.issuer.database_file) as journal:
        query = "SELECT name, problem FROM job WHERE reason = 'ca_limits' AND state = 'keyed'"
        return dict(journal.execute(query).fetchall())


async def test_no_order_is_sent_above_the_limit_and_who_waits_is_told_why_also_after_a_restart(
    scene: IssuerScene, served: RunningCa
) -> None:
    for name in ("a", "b", "c", "d", "e"):
        await scene.peer.order(an_order(name, f"{name}.example.org", issuer="desk"))
    await until(lambda: len(scene.peer.reports(RevisionIssued)) == 3, what="three are issued")
    await until(lambda: len(waiting(scene)) == 2, what="two wait")
    assert all("desk lets it go from" in why and "new orders" in why for why in waiting(scene).values())
    proven = 'certbus_issuer_challenge_seconds_count{ca="desk",outcome="proven",solver="http01"} 3.0'
    assert proven in await metrics(scene)
    scene.issuer.process.kill()
    await scene.issuer.start()
    await scene.peer.order(an_order("f", "f.example.org", issuer="desk"))
    await until(lambda: len(waiting(scene)) == 3, what="the third waits")
    assert len(served.ca.books.orders) == 3


async def test_the_registry_is_told_what_an_order_waits_for(scene: IssuerScene) -> None:
    names = set(waiting(scene))
    # Nobody is told of a moment.
    assert scene.peer.reports(RevisionWaits) == []
    with closing(sqlite3.connect(scene.issuer.database_file, timeout=HANG_S)) as journal, journal:
        journal.execute("UPDATE job SET problem_at = '2026-01-01 00:00:00.000000' WHERE reason = 'ca_limits'")
    told = await scene.peer.wait_for(RevisionWaits, certificate_ids=sorted(names))
    assert {(one.code, one.ca, one.must_act) for one in told.values()} == {
        (WaitCode.CA_LIMITS, "desk", MustAct.NOBODY)
    }
    assert all(one.until is not None and one.until > system_clock() for one in told.values())
    assert all("desk lets it go from" in one.reason for one in told.values())
    assert len(scene.peer.reports(RevisionWaits)) == len(names)


async def test_a_renewal_of_the_same_names_is_not_held_back(scene: IssuerScene, served: RunningCa) -> None:
    [issued, *_] = scene.peer.reports(RevisionIssued)
    name = issued.certificate_id
    before = len(served.ca.books.orders)
    await scene.peer.order(an_order(name, f"{name}.example.org", issuer="desk", revision=2))
    await until(
        lambda: any(one.revision == 2 for one in scene.peer.reports(RevisionIssued)), what="the renewal is issued"
    )
    assert len(served.ca.books.orders) == before + 1

"""What the issuer needs is away: nothing is lost, nothing is finalized twice, and it goes on by itself."""

import asyncio
import os
import resource
import signal
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing, contextmanager

import httpx
import pytest
import pytest_asyncio

from certcore.events import RevisionIssued
from certcore.placements import PLATFORM
from certlocal.tools import Tell
from tests.integration.issuer.bus_peer import an_order
from tests.integration.issuer.scene import Scene, a_scene, until
from tests.patience import HANG_S

ROOM = 256 * 1024
"""Of bytes: the process writes its log meanwhile."""

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory, tell: Tell) -> AsyncIterator[Scene]:
    async with a_scene(tmp_path_factory.mktemp("issuer"), tell=tell, orders_every_s=1.0) as ready:
        yield ready


@pytest.fixture
def finalized(scene: Scene) -> Callable[[], int]:
    """How many orders were finalized in this test."""
    before = len(scene.pebble.finalized_orders())
    return lambda: len(scene.pebble.finalized_orders()) - before


async def ordered(scene: Scene, *names: str) -> None:
    for name in names:
        await scene.peer.order(an_order(name, f"{name}.example.org"))


async def says(scene: Scene, answer: str) -> bool:
    """Whether readiness says so."""
    async with httpx.AsyncClient(trust_env=False) as client:
        return answer in (await client.get(f"{scene.issuer.url}/readyz")).text


async def ready(scene: Scene, answer: str) -> None:
    async with asyncio.timeout(HANG_S):
        while not await says(scene, answer):  # noqa: ASYNC110 # another process
            await asyncio.sleep(0.05)


@contextmanager
def locked(scene: Scene) -> Iterator[None]:
    """Another process has SQLite's only write lock."""
    with closing(sqlite3.connect(scene.issuer.database_file, isolation_level=None, timeout=60)) as database:
        database.execute("BEGIN IMMEDIATE")
        yield
        database.execute("ROLLBACK")


async def test_a_lock_that_another_process_holds_is_waited_for(scene: Scene, finalized: Callable[[], int]) -> None:
    before, meanwhile, later = ([f"{letter}{number}" for number in range(8)] for letter in "lmn")
    await ordered(scene, *before)
    await until(lambda: scene.logged("order_opened"), what="the first order")
    with locked(scene):
        await ordered(scene, *meanwhile)
        await ready(scene, "journal: the database takes no writes now: database is locked")
        await until(lambda: scene.logged("event_retried"), what="an event that could not be stored")
        tried = len(scene.logged("round_failed"))
        await ordered(scene, *later)
        await until(lambda: len(scene.logged("round_failed")) > tried, what="another try to write")
        # They wait at the broker, but for one that was asked for before.
        assert await scene.peer.not_taken() >= len(later) - 1
        assert {line["fate"] for line in scene.logged("event_retried")} == {"own_fault"}
    await scene.peer.wait_for(RevisionIssued, certificate_ids=[*before, *meanwhile, *later])
    await ready(scene, "ready")
    assert finalized() == 24
    assert scene.registry.differing == []
    assert await scene.peer.dead_letters() == 0


async def test_a_disk_that_was_full_is_used_again_when_it_has_room(
    scene: Scene, finalized: Callable[[], int]
) -> None:
    names: list[str] = []
    pid = scene.issuer.process.pid
    assert pid is not None
    # What is left of the log in its file would be filled first.
    with closing(sqlite3.connect(scene.issuer.database_file, timeout=HANG_S)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    files = [*scene.issuer.folder.glob("journal.db*"), scene.issuer.process.log_path]
    # For this process alone every file may become little larger than the largest is now.
    limit = max(file.stat().st_size for file in files) + ROOM
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        while not await says(scene, "journal: the database takes no writes now: disk I/O error"):
            names.append(f"f{len(names)}")
            await ordered(scene, names[-1])
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
    await scene.peer.wait_for(RevisionIssued, certificate_ids=names)
    await ready(scene, "ready")
    assert finalized() == len(names)
    assert scene.registry.differing == []


async def test_a_bus_that_stands_still_holds_up_reports_and_nothing_else(
    scene: Scene, finalized: Callable[[], int]
) -> None:
    names = [f"b{number}" for number in range(4)]
    pid = scene.broker.process.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        for name in names:
            scene.registry.issue_orders[name, 1, PLATFORM] = an_order(name, f"{name}.example.org")
        await until(lambda: all((name, 1, PLATFORM) in scene.registry.issued for name in names), what="every bundle")
    finally:
        os.kill(pid, signal.SIGCONT)
        scene.registry.issue_orders.clear()
    await scene.peer.wait_for(RevisionIssued, certificate_ids=names)
    assert finalized() == len(names)


async def test_a_registry_that_was_away_gets_what_was_issued_meanwhile(
    scene: Scene, finalized: Callable[[], int]
) -> None:
    names = [f"r{number}" for number in range(4)]
    scene.registry.down = True
    await ordered(scene, *names)
    await until(lambda: finalized() == len(names), what="every order is finalized")
    scene.issuer.process.kill()
    await scene.issuer.process.wait(timeout_s=30)
    scene.issuer.process.start()
    await until(lambda: scene.logged("round_failed"), what="the list can't be read")
    scene.registry.down = False
    await scene.peer.wait_for(RevisionIssued, certificate_ids=names)
    assert finalized() == len(names)
    assert scene.registry.differing == []

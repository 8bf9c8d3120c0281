"""What one refusal teaches is kept for every CA, over restarts and for every issuer on the journal."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from certcore.ca_limits.asked import AskedCa
from certcore.ca_limits.limit import BudgetSettings
from certcore.clock import system_clock
from certcore.events import RevisionFailed, RevisionIssued
from certlocal.tools import Tell
from issuer.adapters.journal import Journal
from issuer.adapters.window_book import WindowBook
from issuer.domain.failure import JobWaitsError
from issuer.domain.job import JobId, JobState
from issuer.handlers.budgets import Budgets
from tests.acme_ca import acts
from tests.acme_ca.calls import Endpoint
from tests.acme_ca.running import RunningCa, running_ca
from tests.integration.issuer.bus_peer import an_order
from tests.integration.issuer.scene import IssuerScene, issuer_scene, until
from tests.integration.issuer.test_journal import MIGRATIONS, opened
from tests.ports import free_port
from tests.unit.issuer.domain.budgets import refusal
from tests.unit.issuer.samples import job

pytestmark = pytest.mark.integration

HOUR_S = 3600.0


@pytest_asyncio.fixture
async def served(tmp_path: Path, tell: Tell) -> AsyncIterator[RunningCa]:
    async with running_ca(tmp_path, tell=tell) as running:
        yield running


def _waiting(scene: IssuerScene) -> dict[str, str]:
    rows = scene.journal("SELECT name, problem FROM job WHERE reason = 'ca_limits' AND state = 'keyed'")
    return dict(rows)


@pytest.mark.parametrize("form", [lambda left: str(int(left)), acts.http_date], ids=["seconds", "date"])
async def test_a_ca_of_unknown_limits_is_left_alone_until_its_time_whoever_asks(
    tmp_path: Path, served: RunningCa, form: acts.Told
) -> None:
    served.ca.script.add(acts.limited(HOUR_S, wait=form), Endpoint.NEW_ORDER, times=None)
    async with issuer_scene(tmp_path, served) as scene:
        await scene.peer.order(an_order("a", "a.example.org"))
        await scene.peer.wait_for(RevisionFailed, certificate_ids=["a"])
        scene.issuer.process.kill()
        await scene.issuer.start()
        await scene.peer.order(an_order("b", "b.example.org"))
        await until(lambda: "b" in _waiting(scene), what="the other job waits after a restart")
        assert "the CA refused new orders of the account until then" in _waiting(scene)["b"]
        async with httpx.AsyncClient(trust_env=False) as client:
            readyz = await client.get(f"{scene.issuer.url}/readyz")
        assert readyz.status_code == 200
        assert "takes none of new_orders of by-dns until" in readyz.text
        await scene.issuer.stop()
        second = replace(scene.issuer, name="second", http01_port=free_port(), state_folder=tmp_path / "other")
        (tmp_path / "other").mkdir(mode=0o700)
        (tmp_path / "other" / "journal.key").write_bytes((tmp_path / "state" / "journal.key").read_bytes())
        (tmp_path / "other" / "journal.key").chmod(0o600)
        try:
            await second.start()
            await scene.peer.order(an_order("c", "c.example.org"))
            await until(lambda: "c" in _waiting(scene), what="the other issuer's job waits")
        finally:
            await second.stop()
        assert len(served.ca.asked(Endpoint.NEW_ORDER)) == 1
        assert scene.peer.reports(RevisionIssued) == []


async def test_while_a_refusal_is_being_stored_nobody_sends_what_it_refuses(tmp_path: Path) -> None:
    async with opened(f"sqlite:///{tmp_path / 'journal.db'}") as database:
        await database.upgrade(MIGRATIONS)
        journal = Journal(database=database, worker="one", clock=system_clock)
        budgets = Budgets(
            database=database,
            journal=journal,
            windows=WindowBook(database),
            cas=[AskedCa("a-ca", "https://ca.test/dir", BudgetSettings())],
            clock=system_clock,
        )
        sent: list[JobId] = []
        three_at_once = asyncio.Semaphore(3)

        async def ask(number: int) -> None:
            one = job(JobState.KEYED, id=JobId(f"c{number}", 1))
            async with three_at_once, budgets.new_order(one):
                sent.append(one.id)
                if len(sent) == 1:
                    raise refusal("busy", timedelta(hours=1))

        ends = await asyncio.gather(*map(ask, range(30)), return_exceptions=True)
        assert len(sent) <= 3
        assert sum(isinstance(end, JobWaitsError) for end in ends) == 30 - len(sent)

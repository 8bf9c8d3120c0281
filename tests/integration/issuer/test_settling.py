"""What was taken of a CA's limits, and never becomes a certificate or was never sent, is given back with the step."""

import json
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from certcore.ca_limits.asked import AskedCa
from certcore.ca_limits.limit import BudgetSettings
from certcore.clock import system_clock
from certcore.events import RevisionFailed, RevisionIssued
from certlocal.tools import Tell
from issuer.adapters.journal import Journal
from issuer.adapters.window_book import WindowBook
from issuer.domain.errors import JobTakenError
from issuer.domain.failure import FailureReason, JobFailedError
from issuer.domain.job import Job, JobState
from issuer.domain.retry import decide_retry
from issuer.handlers.budgets import Budgets
from tests.acme_ca.conduct import Conduct
from tests.acme_ca.running import running_ca
from tests.acme_ca.server import ScriptedCa, acme_ca
from tests.integration.issuer.bus_peer import an_order
from tests.integration.issuer.scene import IssuerScene, issuer_scene, until
from tests.integration.issuer.test_journal import MIGRATIONS, on_disk, opened
from tests.ports import free_port
from tests.unit.issuer.samples import job

pytestmark = pytest.mark.integration

LIMITS: dict[str, Any] = {
    "share": 1.0,
    "new_orders": {"count": 100, "period": "P1D"},
    "certificates_per_set": {"count": 5, "period": "P7D"},
}
SPENT = "SELECT kind FROM budget_bucket WHERE full_at > datetime('now', '+1 minute')"


@asynccontextmanager
async def issuing(folder: Path, tell: Tell) -> AsyncIterator[tuple[IssuerScene, ScriptedCa, ExitStack]]:
    """`counted` is a CA whose limits are known; leaving the stack stops it."""
    async with running_ca(folder, tell=tell) as served:
        with ExitStack() as stack:
            ca = stack.enter_context(acme_ca(folder / "counted", free_port(), dns=served.dns))
            settings: dict[str, Any] = {
                "name": "counted",
                "directory_url": ca.directory_url,
                "ca_file": str(ca.ca_file),
            }
            settings.update(challenges=["dns-01"], public=False, budget=LIMITS)
            async with issuer_scene(folder, served, more_cas=(settings,)) as scene:
                yield scene, ca, stack


def spent(scene: IssuerScene) -> list[str]:
    return sorted(row[0] for row in scene.journal(SPENT))


def taken(scene: IssuerScene) -> dict[str, list[str]]:
    rows = scene.journal("SELECT job, taken FROM budget_ticket")
    return {job.partition("/")[0]: [kind for _, kind, *_ in json.loads(stored)] for job, stored in rows}


async def test_a_job_that_is_given_up_gives_back_what_it_took_for_its_certificate(tmp_path: Path, tell: Tell) -> None:
    async with issuing(tmp_path, tell) as (scene, ca, _):
        ca.books.conduct["a.example.org"] = Conduct(offers=("tls-alpn-01",))
        await scene.peer.order(an_order("a", "a.example.org", issuer="counted"))
        await scene.peer.wait_for(RevisionFailed, certificate_ids=["a"])
        # The newOrder was sent: the CA counts it.
        assert spent(scene) == ["new_orders"], scene.logged("job_failed")
        assert taken(scene) == {}


async def test_what_no_connection_was_made_for_is_not_counted(tmp_path: Path, tell: Tell) -> None:
    async with issuing(tmp_path, tell) as (scene, _, running):
        await scene.peer.order(an_order("a", "a.example.org", issuer="counted"))
        await scene.peer.wait_for(RevisionIssued, certificate_ids=["a"])
        running.close()
        await scene.peer.order(an_order("b", "b.example.org", issuer="counted"))
        await until(lambda: scene.logged("job_failed"), what="the CA can't be reached")
        assert taken(scene) == {"a": ["new_orders"], "b": ["certificates_per_set"]}


async def test_what_is_issued_is_settled_with_the_chain(tmp_path: Path, tell: Tell) -> None:
    async with issuing(tmp_path, tell) as (scene, _, _):
        await scene.peer.order(an_order("a", "a.example.org", issuer="counted"))
        await scene.peer.wait_for(RevisionIssued, certificate_ids=["a"])
        assert spent(scene) == ["certificates_per_set", "new_orders"]
        assert taken(scene) == {"a": ["new_orders"]}


async def test_a_worker_whose_job_was_taken_over_gives_nothing_back(tmp_path: Path) -> None:
    async with opened(f"sqlite:///{tmp_path / 'journal.db'}") as database:
        await database.upgrade(MIGRATIONS)
        journal = Journal(database=database, worker="one", clock=system_clock)
        cas = [AskedCa("a-ca", "https://ca.test/dir", BudgetSettings.model_validate(LIMITS))]
        windows = WindowBook(database)
        budgets = Budgets(database=database, journal=journal, windows=windows, cas=cas, clock=system_clock)
        mine = await journal.accept(job(JobState.KEYED))
        assert mine is not None
        async with budgets.new_order(mine):
            pass
        given_up = decide_retry(mine, JobFailedError(FailureReason.NO_CHALLENGE, "why"), now=system_clock()).job
        stale = replace(mine, version=mine.version + 1)

        async def give_up(before: Job) -> None:
            await journal.advance(before, given_up, within=budgets.settling(before, given_up))

        def tickets() -> int:
            return len(on_disk(tmp_path, "SELECT job FROM budget_ticket"))

        with pytest.raises(JobTakenError):
            await give_up(stale)
        assert tickets() == 1
        await give_up(mine)
        assert tickets() == 0

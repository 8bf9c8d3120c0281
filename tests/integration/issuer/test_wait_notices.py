"""What jobs of the journal wait for, told round by round."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from prometheus_client import CollectorRegistry
from sqlalchemy import Connection

from certcore.errors import TransientError
from certcore.events import CONTRACT
from certkit.registry_client import IssueLevel
from issuer.adapters.held_up_jobs import HELD, HeldUpJobs
from issuer.adapters.journal import Journal
from issuer.adapters.journal_database import JournalDatabase
from issuer.domain.breaker import BreakerRule
from issuer.domain.failure import FailureReason, JobWaitsError
from issuer.domain.job import Job, JobId, JobState
from issuer.domain.wait_notice import Wait
from issuer.domain.waiting import decide_wait
from issuer.handlers.bulkheads import Bulkheads
from issuer.handlers.metrics import Metrics
from issuer.handlers.wait_notices import WaitNotices
from tests.integration.issuer.test_journal import MIGRATIONS, on_disk, opened
from tests.unit.issuer.samples import NOON, job

pytestmark = pytest.mark.integration

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


class Heard:
    def __init__(self) -> None:
        self.told: list[tuple[str, FailureReason, datetime | None]] = []
        self.away = False

    async def waits(self, wait: Wait) -> None:
        if self.away:
            raise TransientError("the bus is away")
        self.told.append((wait.job.certificate_id, wait.reason, wait.until))


class Scene:
    def __init__(self, database: JournalDatabase, folder: Path) -> None:
        self.now, self.folder, self.heard = NOON, folder, Heard()
        self.level: IssueLevel | None = IssueLevel([], complete=True, epoch=1, contract=CONTRACT)
        self.journal = Journal(database=database, worker="one", clock=self.clock)
        self.bulkheads = Bulkheads(
            in_flight={"a-ca": 8, "other": 8},
            rule=BreakerRule(failures=1),
            patience=DAY,
            metrics=Metrics(registry=CollectorRegistry()),
            clock=self.clock,
        )
        self.database = database
        self.restart()

    def clock(self) -> datetime:
        return self.now

    def restart(self) -> None:
        self.notices = WaitNotices(
            jobs=HeldUpJobs(self.database),
            bulkheads=self.bulkheads,
            reports=self.heard,
            registry=lambda: self.level,
            clock=self.clock,
        )

    async def stored(self, name: str, *, ca: str = "a-ca") -> Job:
        new = replace(job(JobState.KEYED), id=JobId(name, 1), ca=ca)
        assert await self.journal.accept(new) is not None
        return new

    async def waits(self, at: Job, *, until: datetime) -> Job:
        waits = JobWaitsError(FailureReason.CA_LIMITS, "50 a week", wait=until - self.now)
        return await self.journal.advance(at, decide_wait(at, waits, now=self.now))

    async def told(self, *, after: timedelta = MINUTE) -> list[tuple[str, FailureReason, datetime | None]]:
        self.now += after
        self.heard.told.clear()
        await self.notices.look()
        return sorted(self.heard.told)


@pytest_asyncio.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with opened(f"sqlite:///{tmp_path / 'journal.db'}") as database:
        await database.upgrade(MIGRATIONS)
        yield Scene(database, tmp_path)


async def test_a_wait_is_told_once_until_it_changes(scene: Scene) -> None:
    await scene.stored("idle")
    at = await scene.waits(await scene.stored("shop"), until=NOON + DAY)
    assert await scene.told(after=MINUTE / 2) == []
    assert await scene.told() == [("shop", FailureReason.CA_LIMITS, NOON + DAY)]
    assert await scene.told(after=DAY) == []
    # The next try finds the same, until later.
    at = await scene.waits(at, until=NOON + 2 * DAY)
    assert await scene.told() == [("shop", FailureReason.CA_LIMITS, NOON + 2 * DAY)]
    assert await scene.told() == []


async def test_what_is_due_at_a_ca_that_is_away_is_told_for_each_job_once(scene: Scene) -> None:
    await scene.stored("never-begun")
    await scene.stored("elsewhere", ca="other")
    scene.bulkheads.failed("a-ca", FailureReason.CA_UNREACHABLE, retry_after=None)
    assert await scene.told() == [("never-begun", FailureReason.CA_AWAY, None)]
    assert await scene.told() == []
    scene.bulkheads.answered("a-ca")
    assert await scene.told() == []
    # The next outage is another one.
    scene.bulkheads.failed("a-ca", FailureReason.CA_UNREACHABLE, retry_after=None)
    assert await scene.told() == [("never-begun", FailureReason.CA_AWAY, None)]


async def test_an_older_registry_is_told_nothing_and_a_bus_that_was_away_everything(scene: Scene) -> None:
    await scene.waits(await scene.stored("shop"), until=NOON + DAY)
    await scene.waits(await scene.stored("edge"), until=NOON + DAY)
    level, scene.level = scene.level, None
    assert await scene.told() == []
    assert level is not None
    scene.level = replace(level, contract=4)
    assert await scene.told() == []
    scene.level, scene.heard.away = level, True
    with pytest.raises(TransientError):
        await scene.told()
    scene.heard.away = False
    assert [name for name, _, _ in await scene.told()] == ["edge", "shop"]
    assert await scene.told() == []


async def test_what_a_newer_issuer_wrote_is_passed_over(scene: Scene) -> None:
    await scene.waits(await scene.stored("shop"), until=NOON + DAY)
    on_disk(scene.folder, "UPDATE job SET reason = 'of_tomorrow'")
    assert await scene.told() == []


async def test_the_look_for_what_waits_reads_no_job_that_is_done(scene: Scene) -> None:
    def plan(connection: Connection) -> list[str]:
        plain = HELD.limit(9).params(since=NOON, away=["a-ca"])
        compiled = plain.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True})
        return [row.detail for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}").all()]

    assert (await scene.database.read(plan))[0] == "SEARCH job USING INDEX ix_job_due_at (due_at>?)"


async def test_more_than_a_page_is_told_once_each(scene: Scene) -> None:
    for number in range(7):
        await scene.waits(await scene.stored(f"shop-{number}"), until=NOON + DAY)
    jobs, after = HeldUpJobs(scene.database), None
    found: list[str] = []
    while page := await jobs.page(since=NOON, away=(), after=after, limit=3):
        after = page[-1]
        found += [held.job.certificate_id for held in page]
    assert found == [f"shop-{number}" for number in range(7)]

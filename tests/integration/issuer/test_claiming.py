"""Which jobs the journal hands out, and what that costs when it holds many that are done."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, insert, text
from sqlalchemy.ext.asyncio import AsyncEngine

from certcore.events import Priority
from certkit.database import make_engine, upgrade
from issuer.adapters.claiming import FIRST_OF_LINE, LINES, NEXT_DUE
from issuer.adapters.journal import Journal
from issuer.adapters.journal_database import JournalDatabase
from issuer.adapters.journal_rows import identity, row_of
from issuer.adapters.tables import job as job_table
from issuer.domain.job import Job, JobId, JobState
from issuer.domain.turns import Turns
from tests.integration.issuer.test_journal import MIGRATIONS, journals
from tests.unit.issuer.samples import NOON, job, order

pytestmark = pytest.mark.integration

LEASE = timedelta(minutes=1)


def of(owner: str, number: int, **fields: Any) -> Job:
    asked = order(owner=owner, priority=fields.pop("priority", Priority.ROUTINE))
    return replace(job(**fields), id=JobId(f"{owner or 'nobody'}-{number}", 1), issue_order=asked)


async def claimed(journal: Journal, slots: int, *, after: timedelta = timedelta()) -> Counter[str]:
    jobs, _ = await journal.claim(now=NOON + after, until=NOON + after + LEASE, turns=Turns(slots), running=())
    return Counter(one.owner for one in jobs)


async def test_a_single_job_is_handed_out_with_the_first_of_a_burst(tmp_path: Path) -> None:
    async with journals(tmp_path, "one") as (journal,):
        for number in range(20):
            await journal.accept(of("shop", number, accepted_at=NOON - LEASE))
        await journal.accept(of("bank", 0))
        assert await claimed(journal, 8) == {"shop": 7, "bank": 1}


async def test_owners_share_the_slots_whatever_they_wait_for(tmp_path: Path) -> None:
    async with journals(tmp_path, "one") as (journal,):
        for owner in ("", "bank", "shop"):
            for number in range(10):
                await journal.accept(of(owner, number))
        assert await claimed(journal, 9) == {"": 3, "bank": 3, "shop": 3}


async def test_who_has_nothing_due_takes_no_turn(tmp_path: Path) -> None:
    async with journals(tmp_path, "one", "two") as (one, two):
        await one.accept(of("bank", 0, wait_until=NOON + LEASE))
        await one.accept(of("mill", 0, state=JobState.STORED))
        await one.accept(of("shop", 0))
        assert await claimed(one, 8) == {"shop": 1}
        assert await claimed(two, 8) == {}
        assert await claimed(two, 8, after=LEASE) == {"bank": 1}


async def test_what_is_urgent_is_handed_out_before_what_waited_longer(tmp_path: Path) -> None:
    async with journals(tmp_path, "one") as (journal,):
        for number in range(3):
            await journal.accept(of("shop", number, accepted_at=NOON - LEASE))
        await journal.accept(of("shop", 3, priority=Priority.URGENT))
        await journal.accept(of("shop", 4, priority="a word of tomorrow", accepted_at=NOON - 2 * LEASE))
        jobs, _ = await journal.claim(now=NOON, until=NOON + LEASE, turns=Turns(3), running=())
        assert [one.id.certificate_id for one in jobs] == ["shop-3", "shop-4"]


async def test_a_claim_costs_the_same_with_many_jobs_that_are_done(tmp_path: Path) -> None:
    engine = make_engine(f"sqlite+aiosqlite:///{tmp_path / 'journal.db'}")
    await upgrade(engine, MIGRATIONS)
    journal = Journal(database=JournalDatabase(engine), worker="one")
    steps = _steps(engine)
    for number in range(5):
        await journal.accept(of(f"owner{number}", number))
    before = await _cost(journal, steps)
    done = [replace(of(f"owner{number % 50}", number, state=JobState.STORED), not_after=NOON) for number in range(5)]
    rows = [{**row_of(one), **identity(one)} for one in done]
    async with engine.begin() as connection:
        for start in range(5, 100_005, 5000):
            many = [{**rows[n % 5], "certificate_id": f"done-{n}"} for n in range(start, start + 5000)]
            await connection.execute(insert(job_table), many)
    async with engine.connect() as connection:
        await connection.execute(text("ANALYZE"))
    after = await _cost(journal, steps)
    await engine.dispose()
    assert after < before * 1.5, f"{before} steps of SQLite's machine before, {after} after"


def _steps(engine: AsyncEngine) -> Callable[[], int]:
    """Counts the steps of SQLite's virtual machine, ten at a time: they grow with the rows that it reads."""
    count = 0

    def step() -> int:
        nonlocal count
        count += 10
        return 0

    @event.listens_for(engine.sync_engine, "checkout")
    def watch(connection: Any, *_: object) -> None:
        connection.driver_connection._conn.set_progress_handler(step, 10)  # noqa: SLF001 # the driver has no such call

    return lambda: count


async def _cost(journal: Journal, steps: Callable[[], int]) -> int:
    before = steps()
    jobs, _ = await journal.claim(now=NOON, until=NOON + LEASE, turns=Turns(16), running=())
    assert len(jobs) == 5
    cost = steps() - before
    await journal.release_leases()
    return cost


async def test_no_statement_that_looks_for_jobs_reads_the_whole_table(tmp_path: Path) -> None:
    engine = make_engine(f"sqlite+aiosqlite:///{tmp_path / 'journal.db'}")
    await upgrade(engine, MIGRATIONS)
    plans = []
    async with engine.connect() as connection:
        for statement in (LINES, FIRST_OF_LINE, NEXT_DUE):
            plain = statement.params(now=NOON, of_owner="shop", if_urgent=False)
            compiled = plain.compile(dialect=engine.dialect, compile_kwargs={"literal_binds": True})
            rows = (await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}")).all()
            plans.append([row.detail for row in rows if " job" in row.detail])
    await engine.dispose()
    assert all(plans)
    for detail in chain.from_iterable(plans):
        assert detail.startswith("SEARCH job USING") or "ix_job_line" in detail, plans

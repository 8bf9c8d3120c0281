"""Which jobs the journal hands out, and what that costs when it holds many that are done."""

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Pool, event, insert, text

from certcore.events import Priority
from issuer.adapters.claiming import FIRST_OF_LINE, LINES, NEXT_DUE
from issuer.adapters.journal import Journal
from issuer.adapters.journal_rows import identity, row_of
from issuer.adapters.tables import job as job_table
from issuer.domain.job import Job, JobId, JobState
from issuer.domain.turns import Turns
from tests.integration.issuer.test_journal import MIGRATIONS, journals, opened
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


async def test_what_waited_for_its_time_stands_not_behind_all_that_was_accepted_before(tmp_path: Path) -> None:
    async with journals(tmp_path, "one") as (journal,):
        for number in range(1000):
            await journal.accept(of("shop", number, accepted_at=NOON - LEASE))
        for number, minutes in ((1000, 3), (1001, 1), (1002, 2)):
            after = NOON + timedelta(minutes=minutes)
            await journal.accept(of("shop", number, state=JobState.KEYED, wait_until=after, setbacks=1))
        later = NOON + timedelta(minutes=2)
        jobs, _ = await journal.claim(now=later, until=later + LEASE, turns=Turns(7), running=())
        assert [one.id.certificate_id for one in jobs if one.setbacks] == ["shop-1001", "shop-1002"]
        assert len([one for one in jobs if not one.setbacks]) == 4


async def test_a_ca_whose_slots_are_taken_is_passed_over(tmp_path: Path) -> None:
    async with journals(tmp_path, "one") as (journal,):
        for number in range(3):
            await journal.accept(of("shop", number, ca="slow", accepted_at=NOON - LEASE))
            await journal.accept(of("shop", 3 + number, ca="quick"))
        await journal.accept(of("bank", 0, ca=None))
        jobs, _ = await journal.claim(now=NOON, until=NOON + LEASE, turns=Turns(20), running=(), skip_cas=["slow"])
        assert Counter(one.ca for one in jobs) == {"quick": 3, None: 1}
        jobs, _ = await journal.claim(
            now=NOON, until=NOON + LEASE, turns=Turns(20), running=(), skip_cas=["slow", ""]
        )
        assert jobs == []
        jobs, _ = await journal.claim(now=NOON, until=NOON + LEASE, turns=Turns(20), running=())
        assert Counter(one.ca for one in jobs) == {"slow": 3}


async def test_a_claim_costs_the_same_with_many_jobs_that_are_done(tmp_path: Path) -> None:
    done = [replace(of(f"owner{number % 50}", number, state=JobState.STORED), not_after=NOON) for number in range(5)]
    rows = [{**row_of(one), **identity(one)} for one in done]

    def fill(connection: Connection) -> None:
        for start in range(5, 100_005, 5000):
            many = [{**rows[n % 5], "certificate_id": f"done-{n}"} for n in range(start, start + 5000)]
            connection.execute(insert(job_table), many)

    with _steps() as steps:
        async with opened(f"sqlite:///{tmp_path / 'journal.db'}") as database:
            await database.upgrade(MIGRATIONS)
            journal = Journal(database=database, worker="one", clock=lambda: NOON)
            for number in range(5):
                await journal.accept(of(f"owner{number}", number))
            before = await _cost(journal, steps)
            await database.write(fill)
            await database.write(lambda connection: connection.execute(text("ANALYZE")))
            after = await _cost(journal, steps)
    assert after < before * 1.5, f"{before} steps of SQLite's machine before, {after} after"


@contextmanager
def _steps() -> Iterator[Callable[[], int]]:
    """Counts the steps of SQLite's virtual machine, ten at a time: they grow with the rows that it reads."""
    count = 0

    def step() -> int:
        nonlocal count
        count += 10
        return 0

    def watch(connection: sqlite3.Connection, *_: object) -> None:
        connection.set_progress_handler(step, 10)

    event.listen(Pool, "checkout", watch)
    try:
        yield lambda: count
    finally:
        event.remove(Pool, "checkout", watch)


async def _cost(journal: Journal, steps: Callable[[], int]) -> int:
    before = steps()
    jobs, _ = await journal.claim(now=NOON, until=NOON + LEASE, turns=Turns(16), running=())
    assert len(jobs) == 5
    cost = steps() - before
    await journal.release_leases()
    return cost


async def test_no_statement_that_looks_for_jobs_reads_the_whole_table(tmp_path: Path) -> None:
    def plans_of(connection: Connection) -> list[list[str]]:
        plans = []
        for statement in (LINES, FIRST_OF_LINE, NEXT_DUE):
            plain = statement.params(now=NOON, of_owner="shop", of_ca="a-ca", if_urgent=False, if_waited=True)
            compiled = plain.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True})
            rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}").all()
            plans.append([row.detail for row in rows if " job" in row.detail])
        return plans

    async with opened(f"sqlite:///{tmp_path / 'journal.db'}") as database:
        await database.upgrade(MIGRATIONS)
        plans = await database.read(plans_of)
    assert all(plans)
    for detail in chain.from_iterable(plans):
        assert detail.startswith("SEARCH job USING") or "ix_job_line" in detail, plans

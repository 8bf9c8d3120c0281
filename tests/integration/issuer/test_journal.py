"""The journal on a real SQLite file."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from prometheus_client import CollectorRegistry
from sqlalchemy import Connection, update

import issuer
from certcore.sealing import RecipientKey
from certkit.transactions import Database
from issuer.adapters.journal import Journal
from issuer.adapters.journal_database import JournalDatabase
from issuer.adapters.ledger_tables import metadata
from issuer.domain.ca_order import ChallengeKind
from issuer.domain.challenge import ChallengeRecord
from issuer.domain.errors import JobTakenError
from issuer.domain.failure import FailureReason
from issuer.domain.job import CaOrder, Job, JobId, JobState
from issuer.domain.key_material import ESCROW, make_key_material
from issuer.domain.turns import Turns
from tests.integration.issuer.recipients import RECIPIENTS
from tests.unit.issuer.samples import NOON, job, order

pytestmark = pytest.mark.integration

LEASE = timedelta(minutes=1)
MIGRATIONS = Path(issuer.__file__).parent / "migrations"


def opened(url: str) -> JournalDatabase:
    return JournalDatabase(Database(url, metrics=CollectorRegistry()))


@asynccontextmanager
async def journals(place: Path | str, *workers: str) -> AsyncIterator[list[Journal]]:
    """One database, by its URL or its folder, seen by several workers."""
    url = place if isinstance(place, str) else f"sqlite:///{place / 'journal.db'}"
    async with AsyncExitStack() as stack:
        databases = [await stack.enter_async_context(opened(url)) for _ in workers]
        await databases[0].upgrade(MIGRATIONS)
        yield [
            Journal(database=database, worker=name, clock=lambda: NOON)
            for database, name in zip(databases, workers, strict=True)
        ]


def on_disk(folder: Path, statement: str, *values: object) -> list[Any]:
    with closing(sqlite3.connect(folder / "journal.db")) as database, database:
        return database.execute(statement, values).fetchall()


def record(of: JobId, *, url: str = "https://ca.test/challenge/1") -> ChallengeRecord:
    return ChallengeRecord(of, ChallengeKind.DNS_01, url, "a.example.org", "_acme-challenge.a", f"value of {url}")


def free(slots: int) -> Turns:
    """One owner doesn't get every slot: one more is free."""
    return Turns(slots + max(1, slots // 7))


async def claim(journal: Journal, *, after: timedelta = timedelta(), limit: int = 10) -> list[Job]:
    now = NOON + after
    return (await journal.claim(now=now, until=now + LEASE, turns=free(limit), running=()))[0]


async def test_a_job_comes_back_as_it_was_stored(tmp_path: Path) -> None:
    asked = order("a.example.org", "*.a.example.org", recipients=RECIPIENTS, replaces="an.id")
    escrow = RecipientKey(ESCROW, X25519PrivateKey.generate())
    full = replace(
        job(JobState.ISSUED),
        issue_order=asked,
        traceparent="00-" + "a" * 32 + "-" + "b" * 16 + "-01",
        key=make_key_material(asked, escrow_public_key=escrow.public_key),
        ca_order=CaOrder("https://ca.test/o/1", "https://ca.test/o/1/f", NOON - LEASE, NOON, 3, NOON + LEASE),
        chain_pem="a chain",
        validation_method="dns-01",
        abandoned=1,
        lost=1,
        refusals=2,
        setbacks=3,
        wait_until=NOON + LEASE,
        given_up=True,
        reason=FailureReason.CA_REFUSED,
        problem="a problem",
        problem_at=NOON,
        report_at=NOON,
    )
    async with journals(tmp_path, "one") as (journal,):
        assert await journal.accept(full) is full
        assert await journal.find(full.id) == full
        assert await journal.find(JobId("a-certificate", 2)) is None
        assert await journal.find(JobId("a-certificate", 1, "platform-rsa")) is None


async def test_each_variant_of_a_revision_has_its_job_and_records(tmp_path: Path) -> None:
    variants = [JobId("a", 1, variant) for variant in ("platform", "platform-rsa")]
    async with journals(tmp_path, "one") as (journal,):
        for job_id in variants:
            await journal.accept(replace(job(JobState.ORDERED), id=job_id))
        for mine in await claim(journal):
            await journal.advance(mine, replace(mine, state=JobState.VALIDATING), records=[record(mine.id)])
        await journal.forget_records([record(variants[0])])
        assert [await journal.records(job_id) for job_id in variants] == [[], [record(variants[1])]]
        await journal.extend_leases(variants[:1], until=NOON + 3 * LEASE)
        assert [one.id for one in await claim(journal, after=LEASE * 2)] == variants[1:]


async def test_an_order_that_comes_twice_is_one_job(tmp_path: Path) -> None:
    async with journals(tmp_path, "one", "two") as (one, two):
        first, second = await asyncio.gather(one.accept(job(ca="one")), two.accept(job(ca="two")))
        assert first == second
        assert len(await claim(one)) == 1


async def test_a_job_is_leased_to_one_worker_until_the_lease_runs_out(tmp_path: Path) -> None:
    async with journals(tmp_path, "one", "two") as (one, two):
        await one.accept(job())
        assert len(await claim(one)) == 1
        assert await claim(two) == []
        assert await claim(two, after=LEASE / 2) == []
        await one.extend_leases([job().id], until=NOON + 2 * LEASE)
        assert await claim(two, after=LEASE * 1.5) == []
        assert len(await claim(two, after=LEASE * 2.5)) == 1


async def test_a_worker_takes_up_its_own_leases_after_a_crash(tmp_path: Path) -> None:
    async with journals(tmp_path, "one", "one") as (before, after):
        await before.accept(job())
        await claim(before)
        await after.release_leases()
        assert len(await claim(after)) == 1


async def test_leases_that_were_given_back_need_not_run_out(tmp_path: Path) -> None:
    async with journals(tmp_path, "one", "two") as (one, two):
        await one.accept(job())
        await claim(one)
        await two.release_leases()
        assert await claim(two) == []
        await one.release_leases()
        assert len(await claim(two)) == 1
        await one.release(job().id)
        assert await claim(one) == []
        await two.release(job().id)
        assert len(await claim(one)) == 1


async def test_a_worker_that_lost_its_lease_can_change_nothing(tmp_path: Path) -> None:
    async with journals(tmp_path, "one", "two") as (one, two):
        await one.accept(job(JobState.KEYED))
        (slow,) = await claim(one)
        (taken,) = await claim(two, after=LEASE * 2)
        with pytest.raises(JobTakenError, match="a-certificate/1/platform"):
            await one.advance(slow, replace(slow, state=JobState.ORDERED, ca_order=CaOrder("first", "f")))
        stored = await two.advance(taken, replace(taken, state=JobState.ORDERED, ca_order=CaOrder("second", "f")))
        assert await one.find(taken.id) == stored


async def test_of_two_that_write_at_once_one_wins(tmp_path: Path) -> None:
    async with journals(tmp_path, "one", "two") as (one, two):
        await one.accept(job(JobState.KEYED))
        (mine,) = await claim(one)

        async def write(journal: Journal, url: str) -> Job | None:
            try:
                return await journal.advance(mine, replace(mine, state=JobState.ORDERED, ca_order=CaOrder(url, "f")))
            except JobTakenError:
                return None

        written = await asyncio.gather(*(write(one if n % 2 else two, f"order {n}") for n in range(8)))
        (won,) = filter(None, written)
        assert await one.find(mine.id) == won


async def test_jobs_come_when_they_are_due_and_oldest_first(tmp_path: Path) -> None:
    later = NOON + LEASE
    async with journals(tmp_path, "one") as (journal,):
        for number, fields in enumerate(
            ({"wait_until": later}, {"accepted_at": NOON - LEASE}, {}, {"given_up": True}, {"state": JobState.STORED})
        ):
            await journal.accept(replace(job(), id=JobId("a", number), **fields))  # type: ignore[arg-type] # a row each
        jobs, next_due = await journal.claim(now=NOON, until=NOON + LEASE, turns=free(10), running=())
        assert [one.id.revision for one in jobs] == [1, 2]
        assert next_due == later


@pytest.mark.parametrize(
    "damage", [{"state": "a-new-state"}, {"issue_order": "{}"}, {"csr": b"a CSR", "sealed_keys": None}]
)
async def test_a_row_that_cannot_be_read_holds_up_no_other(tmp_path: Path, damage: dict[str, object]) -> None:
    async with journals(tmp_path, "one") as (journal,):
        for number in (1, 2):
            await journal.accept(replace(job(), id=JobId("a", number)))
        for name, value in damage.items():
            on_disk(tmp_path, f"UPDATE job SET {name} = ? WHERE revision = 1", value)  # noqa: S608 # a column of ours
        assert [one.id.revision for one in await claim(journal, limit=1)] == [2]
        assert await claim(journal) == []


async def test_what_runs_already_is_not_taken_again_even_if_its_lease_ran_out(tmp_path: Path) -> None:
    async with journals(tmp_path, "one") as (journal,):
        for number in range(4):
            await journal.accept(replace(job(), id=JobId("a", number)))
        first, _ = await journal.claim(now=NOON, until=NOON + LEASE, turns=free(2), running=())
        later, running = NOON + 2 * LEASE, [one.id for one in first]
        second, _ = await journal.claim(now=later, until=later + LEASE, turns=free(4), running=running)
        assert sorted(one.id.revision for one in first + second) == [0, 1, 2, 3]


async def test_a_nudge_reaches_a_job_that_waits_but_not_one_under_way(tmp_path: Path) -> None:
    waiting = job(JobState.KEYED, wait_until=NOON + LEASE)
    async with journals(tmp_path, "one", "two") as (one, two):
        await one.accept(waiting)
        assert await two.nudge(waiting, replace(waiting, wait_until=None), now=NOON)
        (taken,) = await claim(one)
        assert not await two.nudge(taken, replace(taken, report_at=NOON), now=NOON)


async def test_a_nudge_stores_the_issue_order_that_came_again(tmp_path: Path) -> None:
    gave_up, mended = job(given_up=True), order("mended.example.org")
    async with journals(tmp_path, "one") as (journal,):
        await journal.accept(gave_up)
        assert await journal.nudge(gave_up, replace(gave_up, given_up=False, issue_order=mended), now=NOON)
        assert [one.issue_order for one in await claim(journal)] == [mended]


async def test_records_are_stored_with_the_state_that_needs_them_or_not_at_all(tmp_path: Path) -> None:
    async with journals(tmp_path, "one") as (journal,):
        await journal.accept(job(JobState.ORDERED))
        (mine,) = await claim(journal)
        validating = replace(mine, state=JobState.VALIDATING)
        stored = await journal.advance(mine, validating, records=[record(mine.id)])
        with pytest.raises(JobTakenError):
            await journal.advance(mine, validating, records=[record(mine.id, url="https://ca.test/challenge/2")])
        assert await journal.records(mine.id) == [record(mine.id)]
        again = await journal.advance(stored, replace(stored, setbacks=1), records=[record(mine.id)])
        assert again.version == stored.version + 1
        await journal.advance(again, replace(again, setbacks=2), removed=[record(mine.id)])
        assert await journal.records(mine.id) == []


async def test_that_a_record_was_shown_is_stored_with_who_showed_it(tmp_path: Path) -> None:
    async with journals(tmp_path, "one") as (journal,):
        await journal.accept(job(JobState.ORDERED))
        (mine,) = await claim(journal)
        told = replace(record(mine.id), solver="by-update")
        validating = replace(mine, state=JobState.VALIDATING)
        at = await journal.advance(mine, validating, records=[told])
        assert [(one.solver, one.shown) for one in await journal.records(mine.id)] == [("by-update", False)]
        at = await journal.advance(at, at, records=[replace(told, shown=True)])
        assert [(one.solver, one.shown) for one in await journal.records(mine.id)] == [("by-update", True)]
        # Where it is shown stays known, whoever is chosen for it the next time.
        await journal.advance(at, at, records=[replace(told, shown=True, solver="another")])
        assert [(one.solver, one.shown) for one in await journal.records(mine.id)] == [("by-update", True)]


async def test_a_step_writes_what_it_changed_and_nothing_else(tmp_path: Path) -> None:
    escrow = RecipientKey(ESCROW, X25519PrivateKey.generate())
    key = make_key_material(order(), escrow_public_key=escrow.public_key)
    async with journals(tmp_path, "one") as (journal,):
        await journal.accept(job(JobState.KEYED))
        (mine,) = await claim(journal)
        updates = _Updates(tmp_path)
        at = await journal.advance(mine, replace(mine, state=JobState.VALIDATING, key=key, chain_pem="a chain"))
        at = await journal.advance(at, replace(at, state=JobState.FINALIZING, setbacks=1))
        at = await journal.advance(at, at, release=True)
        assert await journal.find(mine.id) == at
    assert updates.seen() == [
        {"csr", "spki_sha256", "sealed_keys", "state", "chain_pem", "version"},
        {"state", "setbacks", "version"},
        {"lease_owner", "lease_until", "version"},
    ]


class _Updates:
    """The columns that each update of a job sets, noted by the database itself."""

    def __init__(self, folder: Path) -> None:
        self._database = sqlite3.connect(folder / "journal.db")
        self._database.execute("CREATE TABLE noted (version INTEGER, written TEXT)")
        for column in metadata.tables["job"].columns:
            noting = f"INSERT INTO noted VALUES (new.version, '{column.name}')"  # noqa: S608 # a column's name
            self._database.execute(
                f"CREATE TRIGGER noted_{column.name} AFTER UPDATE OF {column.name} ON job BEGIN {noting}; END"
            )
        self._database.commit()

    def seen(self) -> list[set[str]]:
        noted: dict[int, set[str]] = {}
        for version, column in self._database.execute("SELECT version, written FROM noted ORDER BY version"):
            noted.setdefault(version, set()).add(column)
        self._database.close()
        return list(noted.values())


async def test_what_a_step_does_besides_is_stored_with_it_or_not_at_all(tmp_path: Path) -> None:
    def spend(connection: Connection) -> None:
        connection.execute(update(metadata.tables["registry_epoch"]).values(reported=7))

    def refuse(connection: Connection) -> None:
        spend(connection)
        raise ValueError("the budget is spent")

    async with journals(tmp_path, "one") as (journal,):
        await journal.accept(job(JobState.KEYED))
        (mine,) = await claim(journal)
        with pytest.raises(ValueError, match="budget"):
            await journal.advance(mine, replace(mine, setbacks=1), within=refuse)
        with pytest.raises(JobTakenError):
            await journal.advance(replace(mine, version=9), mine, within=spend)
        assert on_disk(tmp_path, "SELECT reported FROM registry_epoch") == [(0,)]
        await journal.advance(mine, replace(mine, setbacks=1), within=spend)
        assert on_disk(tmp_path, "SELECT reported FROM registry_epoch") == [(7,)]


async def test_two_jobs_may_need_one_record(tmp_path: Path) -> None:
    async with journals(tmp_path, "one") as (journal,):
        for number in (1, 2):
            await journal.accept(replace(job(JobState.ORDERED), id=JobId("a", number)))
        for mine in await claim(journal):
            await journal.advance(mine, replace(mine, state=JobState.VALIDATING), records=[record(mine.id)])
        assert len(await journal.records_at(ChallengeKind.DNS_01, "_acme-challenge.a")) == 2
        await journal.forget_records([record(JobId("a", 1))])
        assert await journal.records_at(ChallengeKind.DNS_01, "_acme-challenge.a") == [record(JobId("a", 2))]


async def test_records_that_no_order_needs_are_found_after_a_crash(tmp_path: Path) -> None:
    async with journals(tmp_path, "one") as (journal,):
        needed = {JobState.ORDERED, JobState.VALIDATING, JobState.FINALIZING}
        for number, state in enumerate(JobState):
            await journal.accept(replace(job(state), id=JobId("a", number)))
            some = await journal.find(JobId("a", number))
            assert some is not None
            await journal.advance(some, some, records=[record(some.id, url=f"https://ca.test/{state}")])
        left = {one.url for one in await journal.leftover_records(running=())}
        assert left == {f"https://ca.test/{state}" for state in JobState if state not in needed}
        busy = [one.job for one in await journal.leftover_records(running=())]
        assert await journal.leftover_records(running=busy) == []


async def test_the_migrations_make_the_schema_that_the_code_speaks_of(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'journal.db'}", metrics=CollectorRegistry())
    await database.upgrade(MIGRATIONS)
    differences = await database.read(
        lambda connection: list(compare_metadata(MigrationContext.configure(connection), metadata))
    )
    await database.close()
    assert differences == []

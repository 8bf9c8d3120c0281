"""The journal of two hosts on a real PostgreSQL: what both do at once is done once."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text

from certcore.clock import system_clock
from issuer.adapters.held_up_jobs import HeldUpJobs
from issuer.adapters.journal import Journal
from issuer.adapters.journal_database import JournalDatabase
from issuer.adapters.kept_bundles import KeptBundles, Pruned
from issuer.adapters.tables import metadata
from issuer.domain.account import AccountRecord
from issuer.domain.errors import JobTakenError
from issuer.domain.failure import FailureReason, JobWaitsError
from issuer.domain.job import CaOrder, Job, JobId, JobState
from issuer.domain.turns import Turns
from issuer.domain.waiting import decide_wait
from tests.fork_server import ended
from tests.integration.issuer.test_claiming import of
from tests.integration.issuer.test_crls import Host
from tests.integration.issuer.test_journal import MIGRATIONS, opened, record
from tests.patience import HANG_S
from tests.postgres_server import PostgresServer, postgres
from tests.private_ca import CaFiles, a_ca
from tests.unit.issuer.cas.files.test_files_ca import request
from tests.unit.issuer.samples import NOON, job

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

LEASE = timedelta(minutes=1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[PostgresServer]:
    async with postgres() as started:
        yield started


class Hosts:
    def __init__(self, one: JournalDatabase, two: JournalDatabase, url: str) -> None:
        self.url = url
        self.database, self.other = one, two
        self.one = Journal(database=one, worker="one", clock=lambda: NOON)
        self.two = Journal(database=two, worker="two", clock=lambda: NOON)

    async def claim(self, journal: Journal, slots: int) -> list[Job]:
        return (await journal.claim(now=NOON, until=NOON + LEASE, turns=Turns(slots), running=()))[0]


@pytest_asyncio.fixture(loop_scope="module")
async def hosts(server: PostgresServer, request: pytest.FixtureRequest) -> AsyncIterator[Hosts]:
    url = await server.database(request.node.name[:60])
    async with opened(url) as one, opened(url) as two:
        await one.upgrade(MIGRATIONS)
        yield Hosts(one, two, url)


async def test_the_migrations_make_the_schema_that_the_code_speaks_of(hosts: Hosts) -> None:
    differences = await hosts.database.read(
        lambda connection: list(compare_metadata(MigrationContext.configure(connection), metadata))
    )
    assert differences == []


async def test_an_order_that_both_hear_of_is_one_job(hosts: Hosts) -> None:
    both = (hosts.one, hosts.two)
    new = [job(ca=f"ca-{number}") for number in range(10)]
    stored = await asyncio.gather(*(both[number % 2].accept(one) for number, one in enumerate(new)))
    assert len({one.ca for one in stored if one is not None}) == 1
    assert await hosts.one.accept(replace(job(), id=JobId("a-certificate", 0)), only_newest=True) is None


async def test_each_job_is_claimed_by_one_of_them(hosts: Hosts) -> None:
    names = [f"owner{number % 5}" for number in range(60)]
    for number, name in enumerate(names):
        await hosts.one.accept(of(name, number))
    claims = [hosts.claim(journal, 9) for _ in range(5) for journal in (hosts.one, hosts.two)]
    claimed = [one.id for jobs in await asyncio.gather(*claims) for one in jobs]
    assert len(claimed) == len(set(claimed))
    assert len(claimed) == 60


async def test_of_many_steps_at_once_one_is_stored(hosts: Hosts) -> None:
    await hosts.one.accept(job(JobState.KEYED))
    (mine,) = await hosts.claim(hosts.one, 2)

    async def step(journal: Journal, number: int) -> Job | None:
        order = CaOrder(f"https://ca.test/o/{number}", "f")
        try:
            return await journal.advance(mine, replace(mine, state=JobState.ORDERED, ca_order=order))
        except JobTakenError:
            return None

    steps = (step(hosts.one if number % 2 else hosts.two, number) for number in range(8))
    (won,) = filter(None, await asyncio.gather(*steps))
    assert await hosts.two.find(mine.id) == won
    recorded = await hosts.database.read(
        lambda connection: connection.execute(text("SELECT url, state FROM acme_order")).all()
    )
    assert won.ca_order is not None
    assert [tuple(row) for row in recorded] == [(won.ca_order.url, "open")]


async def test_steps_of_many_jobs_hold_each_other_up_no_longer_than_they_take(hosts: Hosts) -> None:
    for number in range(20):
        await hosts.one.accept(replace(job(JobState.ORDERED), id=JobId(f"c{number}", 1)))
    jobs = [*await hosts.claim(hosts.one, 20), *await hosts.claim(hosts.two, 20)]
    for state in (JobState.VALIDATING, JobState.FINALIZING):
        steps = [hosts.one.advance(one, replace(one, state=state), records=[record(one.id)]) for one in jobs]
        jobs = list(await asyncio.gather(*steps))
    left = await hosts.one.leftover_records(running=())
    assert (len(jobs), left) == (20, [])
    assert len(await hosts.two.records_at(record(jobs[0].id).kind, "_acme-challenge.a")) == 20


async def test_both_go_on_with_the_account_that_was_first(hosts: Hosts) -> None:
    records = [AccountRecord("a-ca", "https://ca.test/dir", f"thumb {n}", b"sealed") for n in range(6)]
    both = (hosts.one, hosts.two)
    kept = await asyncio.gather(*(both[n % 2].keep_account(one) for n, one in enumerate(records)))
    assert len(set(kept)) == 1
    await hosts.one.set_account_url("a-ca", "https://ca.test/dir", "https://ca.test/account/1")
    assert await hosts.two.account("a-ca", "https://ca.test/dir") == replace(kept[0], url="https://ca.test/account/1")


async def test_both_prune_at_once(hosts: Hosts) -> None:
    for revision in (1, 2, 3):
        done = replace(job(JobState.STORED), id=JobId("a", revision), chain_pem="a chain", not_after=NOON)
        await hosts.one.accept(done)
    kept = KeptBundles(hosts.database)
    both = await asyncio.gather(kept.prune(now=NOON), kept.prune(now=NOON))
    assert sum(pruned.bundles for pruned in both) == 3
    assert await kept.prune(now=NOON + timedelta(days=31)) == Pruned(0, 2)


@asynccontextmanager
async def held(database: JournalDatabase) -> AsyncIterator[None]:
    """Another host's transaction has the row of every job."""
    began, end = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def hold(connection: Connection) -> None:
        connection.execute(text("SELECT 1 FROM job FOR UPDATE"))
        loop.call_soon_threadsafe(began.set)
        asyncio.run_coroutine_threadsafe(end.wait(), loop).result()

    holding = asyncio.create_task(database.write(hold))
    await began.wait()
    try:
        yield
    finally:
        end.set()
        await holding


async def test_who_claims_passes_over_what_another_host_is_about_to_take(hosts: Hosts) -> None:
    await hosts.one.accept(of("shop", 1))
    async with held(hosts.database):
        await hosts.two.accept(of("shop", 2))
        async with asyncio.timeout(HANG_S):
            assert [one.id.certificate_id for one in await hosts.claim(hosts.two, 4)] == ["shop-2"]
    assert [one.id.certificate_id for one in await hosts.claim(hosts.two, 4)] == ["shop-1"]


async def test_what_waits_is_found_page_by_page(hosts: Hosts) -> None:
    for number in range(5):
        waits = JobWaitsError(FailureReason.CA_LIMITS, "50 a week", wait=LEASE * (1 + number % 2))
        new = replace(job(JobState.KEYED), id=JobId(f"shop-{number}", 1))
        await hosts.one.accept(decide_wait(new, waits, now=NOON))
    jobs, after, found = HeldUpJobs(hosts.other), None, set()
    while page := await jobs.page(since=NOON, away=["none"], after=after, limit=2):
        after = page[-1]
        found |= {held.job.certificate_id for held in page}
    assert found == {f"shop-{number}" for number in range(5)}
    assert await jobs.page(since=NOON - LEASE, away=(), after=None, limit=2) == []


def _one_sequence(*numbers: list[int]) -> bool:
    """Whether each host's numbers grow, and no two lists have the same one."""
    everything = [number for of in numbers for number in of]
    return all(of == sorted(of) for of in numbers) and len(everything) == len(set(everything))


async def test_no_two_lists_of_what_was_revoked_have_the_same_number(hosts: Hosts, tmp_path: Path) -> None:
    files = a_ca(tmp_path / "ca", now=NOON)
    both = [Host(files, tmp_path / f"{n}.crl", of) for n, of in enumerate((hosts.database, hosts.other))]

    async def revoke(host: Host, first: int) -> list[int]:
        numbers = []
        for serial in range(first, first + 20, 2):
            await host.revoked(serial)
            numbers.append(host.published()[0])
        return numbers

    numbers = await asyncio.gather(*(revoke(host, first) for first, host in enumerate(both, start=1)))
    assert _one_sequence(*numbers), numbers
    for host in both:
        await host.crls.keep_up()
        assert host.published()[1] == set(range(1, 21))


async def test_nor_have_those_of_two_processes(hosts: Hosts, tmp_path: Path) -> None:
    files, now = a_ca(tmp_path / "ca"), system_clock()
    signs = Host(files, tmp_path / "signs.crl", hosts.database, now=now)

    async def revoke(host: str) -> list[int]:
        folder = tmp_path / host
        folder.mkdir()
        numbers = []
        for name in ("a.site1.internal", "b.site1.internal"):
            leaf = folder / f"{name}.pem"
            leaf.write_text(await signs.ca.sign(request(name, at=now, job=JobId(f"{host}-{name}", 1))))
            code, out, err = await ended(
                *("certbus", "issuer", "revoke", str(leaf), "--reason", "superseded", "--ca", "own"),
                env=_settings(hosts.url, files, folder),
            )
            assert code == 0, out + err
            numbers.append(int(out.partition("(CRL ")[2].partition(",")[0]))
        return numbers

    numbers = await asyncio.gather(revoke("one"), revoke("two"))
    assert _one_sequence(*numbers), numbers
    await signs.crls.keep_up()
    number, serials = signs.published()
    assert (number, len(serials)) == (max(max(of) for of in numbers) + 1, 4)


def _settings(url: str, files: CaFiles, folder: Path) -> dict[str, str]:
    """Those of a host with a state folder and a CRL file of its own."""
    (folder / "token").write_text("token")
    own = files.settings("own", crl_file=str(folder / "own.crl"), crl_url="http://crl.test/own.crl")
    told: dict[str, Any] = {
        "bus": {"identity": "issuer", "url": "nats://127.0.0.1:9", "plain_text": True},
        "http": {"plain_text": True},
        "registry": {"url": "http://127.0.0.1:9", "token_file": str(folder / "token"), "plain_text": True},
        "database_url": url,
        "state_folder": str(folder / "state"),
        "cas": [own],
        "policy": {"internal": "own", "public": "own"},
        "solvers": {},
    }
    return {
        f"CERTBUS_ISSUER_{name.upper()}": value if isinstance(value, str) else json.dumps(value)
        for name, value in told.items()
    }

"""The ledger on real databases: together with a job in one transaction, and asked by two hosts at once."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any, Final, TypeVar

import pytest
import pytest_asyncio
from prometheus_client import CollectorRegistry
from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import DBAPIError

from certcore.ca_limits.asked import AskedCa, NewOrder
from certcore.ca_limits.forecast import Intent
from certcore.ca_limits.forecast import answer as foretold
from certcore.ca_limits.limit import BudgetSettings, Limit, LimitKind
from certkit.database import was_overtaken
from certkit.transactions import Database
from issuer.adapters.journal_rows import identity, row_of
from issuer.adapters.ledger import Ledger
from issuer.adapters.tables import job as job_table
from issuer.domain.budget_decision import Granted, NotBefore
from issuer.domain.errors import JobTakenError
from issuer.domain.job import JobState
from tests.integration.issuer.test_journal import MIGRATIONS
from tests.postgres_server import database
from tests.unit.issuer.domain.budgets import DIRECTORY, ask
from tests.unit.issuer.samples import NOON, job

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

ResultT = TypeVar("ResultT")
_COUNT: Final = 20
_BUDGET: Final = BudgetSettings(share=1.0, new_orders=Limit(count=_COUNT, period=timedelta(hours=_COUNT)))
_LEDGER: Final = Ledger(
    [AskedCa(name, DIRECTORY, _BUDGET) for name in ("with-job", "taken", "not-now", "race", "foretold")],
)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["sqlite", "postgresql"])
async def hosts(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Database, Database]]:
    async with database(request.param, tmp_path_factory.mktemp("ledger")) as url:
        both = Database(url, metrics=CollectorRegistry()), Database(url, metrics=CollectorRegistry())
        await both[0].upgrade(MIGRATIONS)
        yield both
        for one in both:
            await one.close()


async def again_if_overtaken(host: Database, work: Callable[[Connection], ResultT]) -> ResultT:
    while True:
        try:
            return await host.write(work)
        except DBAPIError as error:
            if not was_overtaken(error):
                raise


def begin_order(connection: Connection, asked: NewOrder, version: int) -> Granted | NotBefore:
    """What the issuer's step does: the job is written with what follows from the ledger's answer."""
    answer = _LEDGER.spend(connection, asked, NOON)
    values: dict[str, Any] = {"version": version + 1, "wait_until": None, "problem": None}
    if isinstance(answer, NotBefore):
        values |= {"wait_until": answer.at, "problem": answer.reason}
    written = connection.execute(
        update(job_table)
        .where(job_table.c.certificate_id == asked.job, job_table.c.version == version)
        .values(**values)
    )
    if written.rowcount != 1:
        raise JobTakenError(asked.job)
    return answer


async def stored(host: Database, asked: NewOrder) -> None:
    new = job(JobState.KEYED)
    values = {**row_of(new), **identity(new), "certificate_id": asked.job}

    def store(connection: Connection) -> None:
        connection.execute(insert(job_table).values(**values))

    await host.write(store)


def spending(asked: NewOrder) -> Callable[[Connection], Granted | NotBefore]:
    return lambda connection: _LEDGER.spend(connection, asked, NOON)


async def spent(host: Database, ca: str) -> timedelta:
    state = await host.read(lambda connection: _LEDGER.state(connection, [ca], NOON))
    return sum((one.full_at - NOON for key, one in state.buckets.items() if key.scope == ca), timedelta())


async def test_what_is_spent_is_stored_with_the_job(hosts: tuple[Database, Database]) -> None:
    host, _ = hosts
    asked = ask("job-1", ca="with-job")
    await stored(host, asked)
    assert await again_if_overtaken(host, lambda connection: begin_order(connection, asked, 0)) == Granted()
    assert await spent(host, "with-job") == timedelta(hours=1)


async def test_what_another_worker_has_taken_spends_nothing(hosts: tuple[Database, Database]) -> None:
    host, _ = hosts
    asked = ask("job-2", ca="taken")
    await stored(host, asked)
    with pytest.raises(JobTakenError):
        await again_if_overtaken(host, lambda connection: begin_order(connection, asked, 7))
    assert await spent(host, "taken") == timedelta()


async def test_a_job_that_has_to_wait_is_stored_with_its_time_and_its_reason(
    hosts: tuple[Database, Database],
) -> None:
    host, _ = hosts
    for number in range(_COUNT):
        asked = ask(f"earlier-{number}", ca="not-now")
        await host.write(spending(asked))
    asked = ask("job-3", ca="not-now")
    await stored(host, asked)
    await again_if_overtaken(host, lambda connection: begin_order(connection, asked, 0))
    query = select(job_table.c.wait_until, job_table.c.problem).where(job_table.c.certificate_id == "job-3")
    row = await host.read(lambda connection: connection.execute(query).one())
    assert row.wait_until == NOON + timedelta(hours=1)
    assert row.problem == "no new orders of the account are left of the CA's limit"


async def test_two_hosts_together_are_granted_what_there_is_and_not_one_more(
    hosts: tuple[Database, Database],
) -> None:
    asks = [ask(f"race-{number}", f"a.d{number % 5}.org", ca="race") for number in range(3 * _COUNT)]
    answers = await asyncio.gather(
        *(again_if_overtaken(hosts[index % 2], spending(one)) for index, one in enumerate(asks))
    )
    assert sum(isinstance(answer, Granted) for answer in answers) == _COUNT
    assert await spent(hosts[0], "race") == timedelta(hours=_COUNT)
    # Each attempt once more, at the other host: what was granted stays so, and costs nothing.
    again = await asyncio.gather(
        *(again_if_overtaken(hosts[1 - index % 2], spending(one)) for index, one in enumerate(asks))
    )
    assert [isinstance(answer, Granted) for answer in again] == [isinstance(answer, Granted) for answer in answers]
    assert await spent(hosts[0], "race") == timedelta(hours=_COUNT)


async def test_a_forecast_is_answered_from_what_is_stored(hosts: tuple[Database, Database]) -> None:
    state = await hosts[0].read(lambda connection: _LEDGER.state(connection, ["foretold"], NOON))
    intents = [Intent(id=f"i-{number}", ca="foretold", dns_names=("a.example.org",)) for number in range(_COUNT + 2)]
    intents.insert(1, Intent(id="elsewhere", ca="nobody", dns_names=("a.example.org",)))
    answer = foretold(state, intents, now=NOON)
    assert [one.id for one in answer.orders] == [one.id for one in intents]
    assert answer.orders[1].at is None
    assert [one.at for one in answer.orders[-3:]] == [NOON, NOON + timedelta(hours=1), NOON + timedelta(hours=2)]
    assert [one.limit for one in answer.orders[-3:]] == [None, LimitKind.NEW_ORDERS, LimitKind.NEW_ORDERS]
    assert answer.takes == timedelta(hours=2)
    with pytest.raises(ValueError, match="at most"):
        foretold(state, intents * 500, now=NOON)


async def test_the_migration_makes_what_the_ledger_reads(hosts: tuple[Database, Database]) -> None:
    host, _ = hosts

    def every(connection: Connection) -> tuple[int, int]:
        state = _LEDGER.state(connection, ["race"], NOON)
        return len(state.buckets), sum(state.waiting.values())

    assert await host.read(every) == (1, 2 * _COUNT)
    assert await host.write(lambda connection: _LEDGER.prune(connection, NOON + timedelta(days=400))) > 2 * _COUNT

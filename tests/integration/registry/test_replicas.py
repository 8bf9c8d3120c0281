"""Two registries on one PostgreSQL: each knows what the other decided, one leads, who follows misses nothing."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from itertools import count
from typing import Any

import pytest
import pytest_asyncio
from prometheus_client import CollectorRegistry
from sqlalchemy import Connection, text

from certcore.api import Role
from certcore.certificate import Exposure, Proof
from certcore.rejection import RejectedError
from certkit.background import end_tasks
from registry.adapters.leadership import Leadership
from registry.adapters.outbox import Bell
from registry.adapters.store import Transaction
from registry.domain.access import Principal
from registry.domain.certificate import Certificate
from registry.domain.claim import contested
from registry.domain.decision import Decision
from registry.handlers.feed import Feed
from tests.integration.registry.bus import eventually
from tests.integration.registry.world import ANA, MIGRATIONS, SPEC, World, a_database, keep_policy
from tests.policies import open_policy
from tests.postgres_server import PostgresServer, postgres
from tests.unit.registry.announcing import announce

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

ROUNDS = 4
BARE: dict[str, Any] = {"targets": SPEC.targets[:1], "endpoints": (), "proof": Proof.NONE}
BEN = Principal("ben", "security", frozenset({Role.APPROVER}))
_NUMBERS = count(1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[PostgresServer]:
    async with postgres() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def url(server: PostgresServer) -> str:
    return await server.database("replicas")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair(url: str) -> AsyncIterator[tuple[World, World]]:
    """Both bring the schema up at once."""
    databases = a_database(url), a_database(url)
    await asyncio.gather(*(item.upgrade(MIGRATIONS) for item in databases))
    first, second = (World(item, ids=f"r{number}") for number, item in enumerate(databases))
    await first.enrol()
    yield first, second
    for item in databases:
        await item.close()


async def until(look: Callable[[], bool]) -> None:
    async def answered() -> bool:
        return look()

    await eventually(answered, what="what is waited for")


async def ask(world: World, *, owner: str = "shop", hint: bool, **changes: Any) -> Decision:
    spec = SPEC.model_copy(update={"name": f"x-{next(_NUMBERS)}", **changes})
    by = Principal("ana", owner, ANA.roles)

    def work(transaction: Transaction) -> Decision:
        return world.requests.submit(transaction, spec, owner=owner, by=by)

    return await world.store.write(work, held=contested(spec) if hint else ())


def rejected(found: list[Any]) -> list[RejectedError]:
    assert all(isinstance(item, Decision | RejectedError) for item in found), found
    return [item for item in found if isinstance(item, RejectedError)]


@pytest.mark.parametrize("hint", [True, False])
async def test_of_two_teams_that_ask_for_one_name_at_once_one_gets_it(
    pair: tuple[World, World], *, hint: bool
) -> None:
    for number in range(ROUNDS):
        hosts = (f"name-{hint}-{number}.internal.example.test".lower(),)
        found = await asyncio.gather(
            *(
                ask(world, owner=f"team-{place}", hint=hint, dns_names=hosts, **BARE)
                for place, world in enumerate(pair)
            ),
            return_exceptions=True,
        )
        assert [item.rejections[0].field for item in rejected(found)] == ["dns_names.0"]


async def test_a_team_gets_no_more_certificates_than_policy_allows_it(pair: tuple[World, World]) -> None:
    first, _ = pair
    policy = open_policy()
    bounded = {"name": "few", "match": {"teams": ["team-9"]}, "approvals": [], "most": 5}
    policy["rules"] = [bounded, *policy["rules"]]
    await first.store.write(partial(keep_policy, now=first.now, said=policy))
    found = await asyncio.gather(
        *(
            ask(world, owner="team-9", hint=True, dns_names=(f"most-{number}-{place}.internal.example.test",), **BARE)
            for number in range(5)
            for place, world in enumerate(pair)
        ),
        return_exceptions=True,
    )
    assert len(found) - len(rejected(found)) == 5


async def test_where_two_ask_for_a_new_approval_at_once_one_request_waits(pair: tuple[World, World]) -> None:
    first, _ = pair
    for number in range(ROUNDS):
        hosts = (f"again-{number}.example.test",)
        asked = await ask(first, hint=True, exposure=Exposure.PUBLIC, dns_names=hosts, **BARE)
        await first.store.write(partial(_approved, first, asked.request.id))
        for world in pair:
            world.now += timedelta(seconds=1)

        def work(world: World, certificate: Certificate, transaction: Transaction) -> str:
            return world.requests.ask_again(transaction, certificate, by=ANA).request.id

        found = await first.store.read(partial(_certificate, asked.certificate.id))
        both = await asyncio.gather(*(world.store.write(partial(work, world, found)) for world in pair))
        assert both[0] == both[1] != asked.request.id


async def test_one_leads_until_its_session_ends_and_then_the_other_does(url: str) -> None:
    metrics = [CollectorRegistry(), CollectorRegistry()]
    both = [Leadership(url, metrics=item, every_s=0.05) for item in metrics]
    began, ended = Counter[int](), Counter[int]()

    async def work(place: int) -> None:
        began[place] += 1
        try:
            await asyncio.Event().wait()
        finally:
            ended[place] += 1

    async def a_round(place: int) -> None:
        rounds[place] += 1

    rounds = Counter[int]()
    running = [asyncio.create_task(item.run()) for item in both]
    running += [asyncio.ensure_future(item.loop(partial(work, place))()) for place, item in enumerate(both)]
    try:
        await until(lambda: sum(began.values()) == 1)
        [leader] = [place for place, item in enumerate(both) if item.leads()]
        assert began[leader] == 1
        for place, item in enumerate(both):
            await item.round(partial(a_round, place))()
            assert metrics[place].get_sample_value("certbus_registry_leads") == float(place == leader)
        assert rounds == {leader: 1}
        # As where its machine is gone: the server ends its session.
        await _end_sessions(url)
        await until(lambda: ended[leader] == 1 and sum(began.values()) == 2)
        [leader] = [place for place, item in enumerate(both) if item.leads()]
        assert began[leader] - ended[leader] == 1
        await both[leader].close()
        await until(lambda: both[1 - leader].leads() and began[1 - leader] > ended[1 - leader])
        assert began[leader] == ended[leader]
    finally:
        await end_tasks(running)
        for item in both:
            await item.close()


async def _end_sessions(url: str) -> None:
    """Of those that lead or would."""
    other = a_database(url)
    query = """
        SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE query LIKE 'SELECT%' AND query <> '' AND pid <> pg_backend_pid() AND state = 'idle' AND pid IN
        (SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = 4294967295 AND granted)
    """
    assert len(await other.read(lambda connection: connection.execute(text(query)).all())) == 1
    await other.close()


def _certificate(certificate_id: str, transaction: Transaction) -> Certificate:
    found = transaction.certificates.get(certificate_id)
    assert found is not None
    return found


async def test_those_who_follow_at_both_get_every_event_once_and_in_one_order(pair: tuple[World, World]) -> None:
    """Writers hold their transactions open for a while, one in five gives up: numbers are committed in any order."""
    chance, ids = random.Random(5), count(1)
    feeds = [Feed(store=world.store, bell=Bell()) for world in pair]
    seen: list[list[str]] = [[], []]
    written: set[str] = set()

    async def follow(feed: Feed, heard: list[str]) -> None:
        cursor = await pair[0].store.read(_last)
        with feed.following():
            started.release()
            while True:
                found = await feed.after(cursor, limit=50)
                for event in found:
                    cursor = event.sequence
                    heard.append(event.id)
                if not found:
                    await feed.wait()

    def write(names: list[str], pauses: list[float], connection: Connection) -> None:
        for name, pause_s in zip(names, pauses, strict=True):
            announce(Transaction(connection), name)
            connection.execute(text("SELECT pg_sleep(:s)"), {"s": pause_s})
        if pauses[0] > 0.008:
            raise _ChangedItsMindError

    async def writer(world: World) -> None:
        for _ in range(25):
            names = [f"told-{next(ids)}" for _ in range(chance.randrange(1, 4))]
            with suppress(_ChangedItsMindError):
                await world.database.write(partial(write, names, [chance.random() / 100 for _ in names]))
                written.update(names)

    started = asyncio.Semaphore(0)
    tasks = [asyncio.create_task(feed.run()) for feed in feeds]
    tasks += [asyncio.create_task(follow(feed, heard)) for feed, heard in zip(feeds, seen, strict=True)]
    try:
        for _ in feeds:
            await started.acquire()
        await asyncio.gather(*(writer(world) for world in pair for _ in range(4)))
        await until(lambda: all(len(heard) >= len(written) for heard in seen))
    finally:
        await end_tasks(tasks)
    assert written == set(seen[0])
    assert seen[0] == seen[1]
    assert len(seen[0]) == len(written)


class _ChangedItsMindError(Exception):
    pass


def _last(transaction: Transaction) -> int:
    found = transaction.events.last()
    return found.sequence if found is not None else 0


def _approved(world: World, request_id: str, transaction: Transaction) -> None:
    world.requests.approve(transaction, request_id, person=BEN, comment="")

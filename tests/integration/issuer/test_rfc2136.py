"""Dynamic updates of a real Knot, and what its authoritative servers show of them."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from certlocal.private_file import write_private
from certlocal.tools import Tell
from issuer.domain.ca_order import ChallengeKind
from issuer.domain.errors import SolverError
from issuer.domain.persistent_record import persistent_name, persistent_value
from issuer.solvers import dns_persist
from tests.integration.issuer.knot_world import KnotWorld, StoredRecords, a_record, knot_world
from tests.patience import HANG_S
from tests.ports import free_port

# The proxies of the servers live in the loop of the whole module.
pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

APEX, WILDCARD = a_record("a.example.test", "one"), a_record("a.example.test", "two")
OTHER_JOB = a_record("a.example.test", "three", job="b")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def module_world(tell: Tell) -> AsyncIterator[KnotWorld]:
    async with knot_world(tell=tell) as world:
        yield world


@pytest.fixture
def world(module_world: KnotWorld) -> KnotWorld:
    module_world.stored.records.clear()
    module_world.updates.updates = 0
    module_world.transfers.open = True
    return module_world


async def seen(world: KnotWorld, *records: Any, dns: Any = None) -> None:
    async with world.solver(dns) as solver, asyncio.timeout(HANG_S):
        while True:
            if (await solver.propagated(records)).seen:
                return
            await asyncio.sleep(0.1)


async def test_values_that_share_a_name_come_and_go_one_by_one(world: KnotWorld) -> None:
    async with world.solver() as solver:
        await solver.present([APEX, WILDCARD])
        await solver.present([OTHER_JOB, APEX])
        assert await world.values(APEX.record_name) == {"one", "two", "three"}
        await solver.clean_up([APEX, WILDCARD])
        assert await world.values(APEX.record_name) == {"three"}
        await solver.clean_up([OTHER_JOB])
        await solver.clean_up([OTHER_JOB])
        assert await world.values(APEX.record_name) == set()


async def test_a_value_that_another_job_needs_too_stays(world: KnotWorld) -> None:
    shared = a_record("shared.example.test", "one", job="b")
    mine = a_record("shared.example.test", "one")
    world.stored.records = [shared, mine]
    async with world.solver() as solver:
        await solver.present([mine])
        await solver.clean_up([mine])
        assert await world.values(mine.record_name) == {"one"}
        world.stored.records = [shared]
        await solver.clean_up([shared])
        assert await world.values(mine.record_name) == set()


@pytest.mark.parametrize("zone", [None, "example.test."])
@pytest.mark.parametrize("together", [True, False])
async def test_a_hundred_names_of_one_zone_cost_three_updates_at_most(
    world: KnotWorld, zone: str | None, *, together: bool
) -> None:
    records = [a_record(f"n{number}.example.test", "value", job=f"job-{number}") for number in range(100)]
    async with world.solver(zone=zone) as solver:
        if together:
            await solver.present(records)
        else:
            await asyncio.gather(*(solver.present([record]) for record in records))
        assert 1 <= world.updates.updates <= 3
        for record in records:
            assert await world.values(record.record_name) == {"value"}
        world.updates.updates = 0
        await asyncio.gather(*(solver.clean_up([record]) for record in records))
        assert 1 <= world.updates.updates <= 3
        assert await world.values(records[99].record_name) == set()
        assert world.updates.largest < 2**16


@pytest.mark.parametrize("name", ["delegated", "chain"])
async def test_a_record_is_written_where_its_cnames_lead(world: KnotWorld, name: str) -> None:
    record = a_record(f"{name}.example.test", "one")
    async with world.solver() as solver:
        await solver.present([record])
        assert await world.values("delegated.acme.test") == {"one"}
        await seen(world, record)
        await solver.clean_up([record])
        assert await world.values("delegated.acme.test") == set()


async def test_a_circle_of_cnames_is_told(world: KnotWorld) -> None:
    async with world.solver() as solver:
        with pytest.raises(SolverError, match=r"goes in a circle: _acme-challenge\.circle\.example\.test → circle"):
            await solver.present([a_record("circle.example.test", "one")])


async def test_a_name_that_may_not_be_changed_holds_up_no_other(world: KnotWorld) -> None:
    good = [a_record(f"good{number}.free.acme.test", "one", job=f"good-{number}") for number in range(5)]
    forbidden = a_record("forbidden.acme.test", "one")
    async with world.solver() as solver:
        results = await asyncio.gather(
            *(solver.present([record]) for record in (*good, forbidden)), return_exceptions=True
        )
    assert results[:5] == [None] * 5
    assert isinstance(results[5], SolverError)
    assert "or doesn't let it make this change (BADKEY)" in str(results[5])
    for record in good:
        assert await world.values(record.record_name) == {"one"}


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"key_name": "nobody"}, "doesn't know the key nobody"),
        ({"zone": "other.test."}, "NOTAUTH"),
        ({"algorithm": "hmac-sha512"}, "BADKEY|BADSIG"),
    ],
)
async def test_a_refusal_says_what_to_do(world: KnotWorld, settings: dict[str, Any], told: str) -> None:
    async with world.solver(**settings) as solver:
        with pytest.raises(SolverError, match=told) as failure:
            await solver.present([APEX])
    assert world.key_file.read_text() not in str(failure.value)


async def test_a_wrong_secret_is_told(world: KnotWorld, tmp_path: Path) -> None:
    write_private(tmp_path / "key", b"A" * 43 + b"=")
    async with world.solver(key_file=tmp_path / "key") as solver:
        with pytest.raises(SolverError, match="different secrets for the key certbus"):
            await solver.present([APEX])


@pytest.mark.parametrize(
    ("content", "mode", "told"),
    [(b"A" * 43 + b"=", 0o644, "chmod 600"), (b"secret!", 0o600, "base64"), (b"AAAA", 0o600, "16 bytes")],
)
async def test_a_key_file_that_is_unfit_is_told_at_the_start(
    world: KnotWorld, tmp_path: Path, content: bytes, mode: int, told: str
) -> None:
    write_private(tmp_path / "key", content)
    (tmp_path / "key").chmod(mode)
    with pytest.raises(SolverError, match=told):
        await world.solver(key_file=tmp_path / "key").__aenter__()


async def test_a_server_that_is_away_is_told(world: KnotWorld) -> None:
    async with world.solver(server=f"127.0.0.1:{free_port()}", zone="example.test.") as solver:
        with pytest.raises(SolverError, match="can't be reached"):
            await solver.present([APEX])


async def test_a_record_is_seen_only_when_every_authoritative_server_shows_it(world: KnotWorld) -> None:
    late, sibling = a_record("late.example.test", "one"), a_record("late.example.test", "two")
    world.transfers.open = False
    async with world.solver() as solver:
        await solver.present([late])
        turned_away = world.transfers.turned_away
        looks = []
        # The secondary tries, and gets nothing.
        async with asyncio.timeout(HANG_S):
            while world.transfers.turned_away < turned_away + 2:
                looks.append(await solver.propagated([late]))
                await asyncio.sleep(0.1)
        assert await world.values(late.record_name) == {"one"}
        assert {look.seen for look in looks} == {False}
        server = f"ns2.example.test (127.0.0.2:{world.secondary.port})"
        assert looks[0].detail == f"{server} lacks the TXT record of {late.record_name}"
        assert looks[0].look_again < looks[-1].look_again
        world.transfers.open = True
        await seen(world, late)
        assert await world.values(late.record_name, at=world.secondary) == {"one"}

        world.transfers.open = False
        await solver.present([sibling])
        look = await solver.propagated([late, sibling])
        assert (look.seen, look.detail) == (False, f"{server} lacks 1 of 2 values of {late.record_name}")


async def test_each_view_has_servers_of_its_own(world: KnotWorld) -> None:
    """Inside, the company asks the primary; outside, a CA asks the secondary."""
    port = world.primary.port
    dns = world.dns(
        {
            "views": {
                "inside": {
                    "resolvers": [world.primary.address],
                    "nameservers": {"example.test": [f"127.0.0.1:{port}"]},
                },
                "outside": {
                    "resolvers": [world.secondary.address],
                    "nameservers": {"example.test": [f"127.0.0.2:{port}"]},
                },
            }
        }
    )
    record = a_record("split.example.test", "one")
    world.transfers.open = False
    async with world.solver(dns) as both, world.solver(dns, views=["inside"]) as inside:
        await both.present([record])
        look = await both.propagated([record])
        assert (look.seen, look.detail) == (False, f"127.0.0.2:{port} lacks the TXT record of {record.record_name}")
        assert (await inside.propagated([record])).seen
        world.transfers.open = True
        await seen(world, record, dns=dns)
        assert await world.values(record.record_name, at=world.secondary) == {"one"}


async def test_a_server_that_is_silent_is_named(world: KnotWorld) -> None:
    port = world.primary.port
    silent = free_port()
    servers = [f"127.0.0.1:{port}", f"127.0.0.1:{silent}"]
    dns = world.dns(
        {
            "views": {"default": {"resolvers": [world.primary.address], "nameservers": {"example.test": servers}}},
            "timeout_s": 0.2,
        }
    )
    record = a_record("silent.example.test", "one")
    async with world.solver(dns) as solver:
        await solver.present([record])
        look = await solver.propagated([record])
    assert (look.seen, look.detail) == (False, f"127.0.0.1:{silent} doesn't answer for {record.record_name}")


async def test_resolvers_that_are_away_are_named(world: KnotWorld) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    dns = world.dns({"views": {"default": {"resolvers": [nobody]}}, "timeout_s": 0.2})
    look = await dns.propagated([APEX])
    assert not look.seen
    assert f"the resolvers ({nobody}) of the view default don't answer for SOA" in look.detail


async def test_a_stored_record_is_removed_after_a_restart(world: KnotWorld) -> None:
    record = a_record("restart.example.test", "one")
    async with world.solver() as solver:
        await solver.present([record])
    world.stored = StoredRecords(record)
    async with world.solver() as solver:
        await solver.clean_up([record])
        assert await world.values(record.record_name) == set()


async def test_a_persistent_record_is_told_until_it_is_there(world: KnotWorld) -> None:
    name = persistent_name("persist.example.test")
    value = persistent_value("ca.test", account_url="https://ca.test/acct/1", wildcard=True)
    record = replace(a_record("persist.example.test", value), kind=ChallengeKind.DNS_PERSIST_01, record_name=name)
    watching = dns_persist.DnsPersistSolver(world.dns(), views=())
    await watching.present([record])
    look = await watching.propagated([record])
    assert not look.seen
    assert look.detail.startswith(
        f'the DNS owner must set: {name}. TXT "ca.test; accounturi=https://ca.test/acct/1; policy=wildcard". ns1'
    )
    async with world.solver() as people:
        await people.present([record])
    await seen(world, record)
    assert (await watching.propagated([record])).seen
    await watching.clean_up([record])
    assert await world.values(name) == {value}

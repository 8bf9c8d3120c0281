"""The rounds of renewals on rows of their own: a backlog, freezes, changes of the policy, and what was lost."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import Row, select

from certcore.api import CertificateState
from certcore.certificate_list import CertificateQuery, Order
from registry.adapters import tables
from registry.adapters.outbox import SOURCE, Bell
from registry.domain.errors import ConflictError
from registry.domain.lateness import LATE
from registry.handlers.alarms import Alarms
from registry.handlers.renewal_plans import RenewalPlans
from registry.handlers.renewal_watch import RenewalWatch
from tests.authority import Authority
from tests.integration.registry.many_rows import ManyRows, copyable
from tests.integration.registry.world import NOON, World, a_database, keep_policy, schema, world
from tests.policies import open_policy

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ALL = 15
"""Twelve copies, and those that were issued as the real ones are."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return await schema(tmp_path_factory.mktemp("rounds"))


@asynccontextmanager
async def issued(empty: Path, name: str, authority: Authority) -> AsyncIterator[World]:
    async with world(empty, name) as made:
        await made.issue(authority)
        yield made


async def ruled(made: World, **said: Any) -> None:
    await made.store.write(lambda transaction: keep_policy(transaction, made.now, {**open_policy(), **said}))


def freeze(begins: timedelta, ends: timedelta, *, hard: bool = False) -> list[dict[str, Any]]:
    return [{"from": NOON + begins, "to": NOON + ends, "reason": "sale", "hard": hard}]


async def rows(made: World) -> dict[str, Row[Any]]:
    found = await made.database.read(lambda connection: connection.execute(select(tables.certificate)).all())
    return {row.name: row for row in found}


async def orders(made: World) -> int:
    query = select(tables.event.c.id).where(tables.event.c.type == "certbus.certificate.renewal_due.v1")
    return len(await made.database.read(lambda connection: connection.execute(query).all()))


def plans(made: World) -> RenewalPlans:
    return RenewalPlans(store=made.store, policies=made.policies, bell=Bell(), clock=made.clock)


async def listed(made: World, query: CertificateQuery) -> list[str]:
    found = await made.store.read(lambda transaction: transaction.listing.page(query, limit=3))
    names = [item.place.name for item in found]
    while found:
        place = found[-1].place
        found = await made.store.read(
            lambda transaction, place=place: transaction.listing.page(query, after=place, limit=3)  # type: ignore[misc] # it is bound
        )
        names += [item.place.name for item in found]
    return names


async def test_a_backlog_is_ordered_hour_by_hour_and_each_is_told_its_turn(tmp_path: Path) -> None:
    database = a_database(f"sqlite:///{(await schema(tmp_path))}")
    made = copyable(database, now=NOON)
    copies = ManyRows(made)
    await copies.begin(under_way=0)
    await copies.up_to(12)
    before = await orders(made)
    await ruled(made, renewals={"most_an_hour": 5, "most_an_hour_of_a_team": 3})
    made.now = NOON + 62 * DAY
    await made.renewals.sweep()
    assert await orders(made) - before == 5
    turns = {name: row for name, row in (await rows(made)).items() if row.renewal_reason.startswith("too_many")}
    assert len(turns) == ALL - 5
    hours = sorted(row.due_at - made.now for row in turns.values())
    assert hours == [hour * HOUR + part * HOUR / 5 for hour in (1, 2) for part in range(5)]
    assert {row.renewal_reason.partition(" are ")[0] for row in turns.values()} <= {
        "too_many_at_once: at most 5 renewals",
        "too_many_at_once: at most 3 renewals of team team-of-pattern",
    }
    assert await listed(made, CertificateQuery(renews_before=made.now + 3 * HOUR, sort=Order.RENEWS)) == sorted(
        turns, key=lambda name: (turns[name].due_at, name)
    )
    # What is judged anew keeps its turn.
    some = min(turns)
    for work in (made.renewals.sweep, made.health.sweep):
        await work()
    assert (await rows(made))[some].due_at == turns[some].due_at
    assert await orders(made) - before == 5
    made.now += HOUR
    for minutes in (0, 30, 59):
        made.now = NOON + 62 * DAY + HOUR + timedelta(minutes=minutes)
        await made.renewals.sweep()
    assert await orders(made) - before == 10
    made.now += HOUR
    await made.renewals.sweep()
    assert await orders(made) - before == ALL
    await database.close()


async def test_by_hand_a_freeze_and_a_bound_of_the_team_hold_and_an_operator_goes_on(empty: Path) -> None:
    authority = Authority()
    async with issued(empty, "by-hand", authority) as made:
        await ruled(made, freeze=freeze(-DAY, DAY), renewals={"by_hand_a_day": 1})
        with pytest.raises(ConflictError, match=r"before 2026-03-02T12:00Z: freeze \(sale\)"):
            await made.renew("app", person="ana")
        certificate = await made.renew("app", person="olga", even_in_freeze=True)
        assert certificate.ordered == 2
        entries = await made.database.read(lambda connection: connection.execute(select(tables.audit)).all())
        assert [(row.actor, row.detail) for row in entries if row.action == "renew"] == [
            ("olga", "asked, in spite of the freeze (sale)")
        ]
        await made.issue(authority, 2)
        with pytest.raises(ConflictError, match="team shop can't renew by hand before 2026-03-02T12:00Z"):
            await made.renew("app", person="olga", even_in_freeze=True)
        made.now += DAY
        assert (await made.renew("app", person="ana")).ordered == 3


async def test_a_policy_that_changed_plans_every_renewal_anew_once(empty: Path) -> None:
    async with issued(empty, "plans", Authority()) as made:
        await plans(made).look()
        first = (await rows(made))["app"]
        await ruled(made, freeze=freeze(50 * DAY, 70 * DAY))
        await plans(made).look()
        held = (await rows(made))["app"]
        assert (held.due_at, held.renews_at) == (NOON + 70 * DAY, NOON + 70 * DAY)
        assert held.renewal_reason == "frozen: freeze (sale) lasts until 2026-05-10T12:00Z"
        assert held.version == first.version + 1
        await plans(made).look()
        assert (await rows(made))["app"] == held
        await ruled(made)
        await plans(made).look()
        again = (await rows(made))["app"]
        assert (again.due_at, again.renewal_reason) == (first.due_at, first.renewal_reason)


async def test_what_is_frozen_waits_in_the_sweep_too(empty: Path) -> None:
    async with issued(empty, "frozen", Authority()) as made:
        await ruled(made, freeze=freeze(50 * DAY, 70 * DAY))
        # Nobody planned it anew: the sweep looks at the policy itself.
        made.now = NOON + 65 * DAY
        await made.renewals.sweep()
        row = (await rows(made))["app"]
        assert (await orders(made), row.due_at) == (0, NOON + 70 * DAY)
        made.now = NOON + 70 * DAY
        await made.renewals.sweep()
        assert await orders(made) == 1


async def test_a_renewal_that_is_late_is_told_until_the_next_revision_is_there(empty: Path) -> None:
    authority = Authority()
    async with issued(empty, "late", authority) as made:
        watch = RenewalWatch(
            store=made.store,
            alarms=Alarms(outbox=made.outbox, clock=made.clock),
            bell=Bell(),
            clock=made.clock,
        )

        async def told() -> list[str]:
            found = await made.store.read(lambda transaction: transaction.alerts.open(source=SOURCE, reasons=[LATE]))
            return [f"{record.owner}: {record.summary}" for record in found]

        await ruled(made, freeze=freeze(50 * DAY, 95 * DAY, hard=True))
        await plans(made).look()
        made.now = NOON + 74 * DAY
        await watch.look()
        assert await told() == []
        made.now = NOON + 76 * DAY
        await watch.look()
        [alert] = await told()
        assert alert.startswith("shop: app should be renewed since 2026-05-15T")
        assert "frozen: hard freeze (sale) lasts until 2026-06-04T12:00Z, and what is issued ends at" in alert
        await made.renew("app", person="olga", even_in_freeze=True)
        await watch.look()
        [alert] = await told()
        assert "it is renewing; not_heard_of: if nothing is heard of revision 2" in alert
        await made.issue(authority, 2, at=made.now)
        await watch.look()
        assert await told() == []


@pytest.mark.parametrize("failed", [False, True])
async def test_an_order_that_nothing_is_heard_of_is_announced_again_once_a_day(empty: Path, failed: bool) -> None:  # noqa: FBT001 # a column
    async with issued(empty, f"lost-{failed}", Authority()) as made:
        await made.renew("app", person="ana")
        state = CertificateState.RENEWING
        if failed:
            state = CertificateState.FAILING
            await made.fail(2, next_try=made.now)
        for hours, announced in ((23, 1), (24, 2), (47, 2), (48, 3)):
            made.now = NOON + hours * HOUR
            await made.renewals.sweep()
            assert await orders(made) == announced
        certificate = (await made.rollout()).certificate
        assert (certificate.state, certificate.ordered) == (state, 2)


async def test_what_is_not_approved_any_more_is_looked_at_once(empty: Path) -> None:
    async with issued(empty, "unapproved", Authority()) as made:
        ends = tables.approval.update().values(ends_at=NOON + 50 * DAY)
        await made.database.write(lambda connection: connection.execute(ends))
        made.now = NOON + 62 * DAY
        await made.renewals.sweep()
        row = (await rows(made))["app"]
        assert (row.due_at, row.renewal_reason, await orders(made)) == (None, "approval_ended", 0)
        await made.renewals.sweep()
        assert (await rows(made))["app"].version == row.version

"""What the engine does with orders, with destinations and a registry in memory."""

import asyncio
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from certcore.errors import TransientError
from certcore.events import (
    DeliveryFailed,
    DeliveryProgressed,
    DeliveryReason,
    DeliveryRolledBack,
    DeliverySucceeded,
    DeliveryWithdrawn,
)
from certcore.targets import Capabilities
from certdelivery.model import Failure, Finding, Held, Progress
from tests.issuing import CERTIFICATE_ID, NAME, NOON, target
from tests.unit.certdelivery.running import (
    ISSUED,
    order_of,
    ordered,
    reported_events,
    reported_so_often,
    running,
    settled,
    until,
    withdrawal_of,
)
from tests.unit.certdelivery.shelf import Shelf, World


async def test_an_order_is_delivered_verified_and_reported_with_its_generation() -> None:
    world, shelf = World(), Shelf()
    async with running(world, a=shelf) as engine:
        await ordered(engine, order_of(world, 7, revision=2))
        await until(lambda: bool(world.reported))
    leaf = ISSUED[2].leaf
    assert world.reported == [
        DeliverySucceeded(
            certificate_id=CERTIFICATE_ID,
            target="web",
            generation=7,
            revision=2,
            fingerprint_sha256=leaf.fingerprint_sha256,
        )
    ]
    assert shelf.done == ["deliver 7", "verify 7", "close"]
    assert shelf.held == {NAME: Held(2, leaf.fingerprint_sha256, 7)}


async def test_a_rollback_is_carried_out_by_a_running_engine() -> None:
    world, shelf = World(), Shelf()
    async with running(world, a=shelf) as engine:
        for reported, (generation, revision) in enumerate(((2, 2), (3, 3), (4, 2)), start=1):
            await ordered(engine, order_of(world, generation, revision))
            await reported_so_often(world, reported)
        await ordered(engine, order_of(world, 3))
        await settled()
    assert shelf.held[NAME] == Held(2, ISSUED[2].leaf.fingerprint_sha256, 4)


async def test_a_rollback_is_carried_out_by_an_engine_that_was_started_again() -> None:
    world, shelf = World(), Shelf()
    world.orders = [order_of(world, 3)]
    async with running(world, a=shelf):
        await until(lambda: bool(world.reported))
    world.orders = [order_of(world, 4, revision=2)]
    async with running(world, a=shelf):
        await until(lambda: len(world.reported) == 2)
    assert shelf.held[NAME] == Held(2, ISSUED[2].leaf.fingerprint_sha256, 4)


async def test_the_generation_that_is_held_is_reported_where_it_is_higher_than_the_ordered_one() -> None:
    world, shelf = World(), Shelf()
    shelf.held[NAME] = Held(3, "f" * 64, 9)
    world.orders = [order_of(world, 4)]
    async with running(world, a=shelf):
        await until(lambda: bool(world.reported))
    (reported,) = world.reported
    assert isinstance(reported, DeliverySucceeded)
    assert (reported.generation, reported.revision, reported.fingerprint_sha256) == (9, 3, "f" * 64)
    assert shelf.held[NAME] == Held(3, "f" * 64, 9)
    assert world.fetched == []


async def test_a_target_is_reported_once_and_again_where_the_registry_orders_it_again() -> None:
    world, shelf = World(), Shelf()
    world.orders = [order_of(world, 1)]
    async with running(world, a=shelf) as engine:
        await until(lambda: len(world.reported) == 1)
        await engine.reconcile()
        await settled()
        assert len(world.reported) == 1
        await ordered(engine, world.orders[0])
        await until(lambda: len(world.reported) == 2)
    assert world.fetched == [1]


async def test_a_slow_or_failing_target_answers_at_once_where_the_registry_orders_it_again() -> None:
    world, shelf = World(), Shelf()
    shelf.findings = [Finding(progress=Progress("in_review", next_look=NOON + timedelta(hours=1)))]
    async with running(world, a=shelf) as engine:
        first = order_of(world, 1)
        await ordered(engine, first)
        await until(lambda: len(world.reported) == 1)
        await ordered(engine, first)
        assert [type(event) for event in world.reported] == [DeliveryProgressed] * 2
        shelf.failing = [Failure(DeliveryReason.UNREACHABLE, "down", timedelta(hours=1))]
        second = order_of(world, 2)
        await ordered(engine, second)
        await until(lambda: len(world.reported) == 3)
        await ordered(engine, second)
        assert [type(event) for event in world.reported[2:]] == [DeliveryFailed] * 2
    assert shelf.done.count("deliver 2") == 1


@pytest.mark.parametrize("out", [True, False], ids=["as a whole", "for these alone"])
async def test_only_what_can_not_be_reached_as_a_whole_is_out(out: bool) -> None:  # noqa: FBT001 # a case
    world, shelf = World(), Shelf()
    shelf.failing = [Failure(DeliveryReason.UNREACHABLE, "no answer", out=out)]
    order = order_of(world, 1)
    (web,) = order.placements
    others = [web.model_copy(update={"target": target("shelf", f"web-{number}")}) for number in range(3)]
    with capture_logs() as logs:
        async with running(world, a=shelf) as engine:
            await ordered(engine, order.model_copy(update={"placements": (web, *others)}))
            await until(lambda: sum(line["event"] == "delivery_failed" for line in logs) >= 4)
    told = [line["destination"] for line in logs if line["event"] == "destination_out_of_reach"]
    assert told == (["shelf a"] if out else [])


async def test_a_target_of_several_destinations_is_reported_once_all_hold() -> None:
    world, left, right = World(), Shelf(), Shelf()
    right.failing = [Failure(DeliveryReason.UNREACHABLE, "right is down")]
    async with running(world, left=left, right=right) as engine:
        await ordered(engine, order_of(world, 1))
        await until(lambda: bool(world.reported) and bool(left.held))
        assert not reported_events(world, DeliverySucceeded)
        right.failing = []
        await ordered(engine, order_of(world, 2))
        await until(lambda: bool(reported_events(world, DeliverySucceeded)))
    assert {event.generation for event in reported_events(world, DeliverySucceeded)} == {2}
    assert world.fetched == [1, 2]


async def test_what_cant_be_proven_is_rolled_back_and_reported() -> None:
    world, shelf = World(), Shelf()
    async with running(world, a=shelf) as engine:
        await ordered(engine, order_of(world, 1))
        await until(lambda: len(world.reported) == 1)
        shelf.unproven = [Failure(DeliveryReason.NOT_SERVED, "serves another")]
        await ordered(engine, order_of(world, 2))
        await until(lambda: len(world.reported) == 2)
    reported = world.reported[-1]
    assert isinstance(reported, DeliveryRolledBack)
    assert (reported.generation, reported.revision, reported.held_revision) == (2, 2, 1)
    assert (reported.reason, reported.detail) == (DeliveryReason.NOT_SERVED, "serves another")
    assert shelf.held[NAME].revision == 1


async def test_without_the_capability_nothing_is_rolled_back() -> None:
    world, shelf = World(), Shelf(capabilities=Capabilities(rolls_back=False))
    shelf.unproven = [Failure(DeliveryReason.NOT_SERVED, "serves another")]
    async with running(world, a=shelf) as engine:
        await ordered(engine, order_of(world, 1))
        await until(lambda: bool(world.reported))
    assert isinstance(world.reported[0], DeliveryFailed)
    assert not any(step.startswith("roll back") for step in shelf.done)


async def test_what_was_delivered_before_a_crash_is_proven_before_it_is_reported_but_never_rolled_back() -> None:
    world, shelf = World(), Shelf()
    world.orders = [order_of(world, 1)]
    shelf.held[NAME] = Held(1, ISSUED[1].leaf.fingerprint_sha256, 1)
    shelf.unproven = [Failure(DeliveryReason.NOT_SERVED, "serves another")]
    async with running(world, a=shelf):
        await until(lambda: bool(world.reported))
    assert isinstance(world.reported[0], DeliveryFailed)
    assert shelf.done == ["verify 1", "close"]


async def test_what_could_not_be_proven_is_proven_before_it_is_reported_as_delivered() -> None:
    world, shelf = World(), Shelf(capabilities=Capabilities(rolls_back=False))
    shelf.unproven = [Failure(DeliveryReason.NOT_SERVED, "serves another")]
    async with running(world, a=shelf) as engine:
        await ordered(engine, order_of(world, 1))
        await until(lambda: shelf.done.count("verify 1") == 2)
        assert reported_events(world, DeliverySucceeded) == []
        shelf.unproven = []
        await until(lambda: bool(reported_events(world, DeliverySucceeded)))
    assert shelf.done.count("deliver 1") == 1


async def test_a_withdrawal_is_carried_out_and_reported() -> None:
    world, shelf = World(), Shelf()
    async with running(world, a=shelf) as engine:
        order = order_of(world, 1)
        await ordered(engine, order)
        await until(lambda: len(world.reported) == 1)
        await ordered(engine, withdrawal_of(order, 2))
        await until(lambda: len(world.reported) == 2)
    assert world.reported[-1] == DeliveryWithdrawn(certificate_id=CERTIFICATE_ID, target="web", generation=2)
    assert shelf.held == {}


async def test_a_slow_delivery_is_looked_at_again_by_its_own_timer() -> None:
    world, shelf = World(), Shelf()
    shelf.findings = [Finding(progress=Progress("in_review", next_look=NOON + timedelta(milliseconds=1)))]
    async with running(world, a=shelf) as engine:
        await ordered(engine, order_of(world, 1))
        await until(lambda: len(world.reported) == 2)
    first, second = world.reported
    assert isinstance(first, DeliveryProgressed)
    assert first.step == "in_review"
    assert isinstance(second, DeliverySucceeded)


async def test_without_the_registry_it_goes_on_with_what_it_knows() -> None:
    world, shelf = World(), Shelf()
    world.away = True
    async with running(world, a=shelf) as engine:
        assert engine.not_ready() is not None
        await ordered(engine, order_of(world, 1))
        await until(lambda: len(world.reported) == 1)
        shelf.held.clear()
        with pytest.raises(TransientError):
            await engine.reconcile()
        await until(lambda: len(world.reported) == 2)
        world.away = False
        await engine.reconcile()
        assert engine.not_ready() is None
    assert [event.repaired for event in reported_events(world, DeliverySucceeded)] == [False, True]


async def test_a_registry_that_answers_late_holds_up_no_event_for_long() -> None:
    world, shelf = World(late=asyncio.Event(), patience_s=0.01), Shelf()
    engine = world.engine(a=shelf)
    reconciling = asyncio.create_task(engine.reconcile())
    await ordered(engine, order_of(world, 1))
    await until(lambda: bool(world.reported))
    assert engine.not_ready() is not None
    assert world.late is not None
    world.late.set()
    await reconciling
    assert engine.not_ready() is None
    await engine.close()


async def test_what_a_broken_list_does_not_name_is_repaired_all_the_same() -> None:
    world, shelf = World(), Shelf()
    world.orders = [order_of(world, 1)]
    async with running(world, a=shelf) as engine:
        await until(lambda: bool(world.reported))
        world.orders, world.broken = [], True
        shelf.held.clear()
        await engine.reconcile()
        await until(lambda: len(world.reported) == 2)
    assert [event.repaired for event in reported_events(world, DeliverySucceeded)] == [False, True]


async def test_what_is_no_longer_ordered_is_forgotten_and_stays_where_it_lies() -> None:
    world, shelf = World(), Shelf()
    world.orders = [order_of(world, 1)]
    async with running(world, a=shelf) as engine:
        await until(lambda: bool(world.reported))
        world.orders = []
        await engine.reconcile()
        shelf.done.clear()
        await engine.reconcile()
        await settled()
    assert shelf.done == ["close"]
    assert NAME in shelf.held


async def test_a_report_that_was_not_stored_is_made_again_with_the_next_round() -> None:
    world, shelf = World(), Shelf()
    world.orders = [order_of(world, 1)]
    world.deaf = True
    async with running(world, a=shelf) as engine:
        await until(lambda: bool(shelf.held))
        await settled()
        world.deaf = False
        await engine.reconcile()
        await until(lambda: bool(world.reported))
    assert isinstance(world.reported[0], DeliverySucceeded)

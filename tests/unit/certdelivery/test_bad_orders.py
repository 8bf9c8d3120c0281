"""What the engine does with orders and drivers that are not as they should be."""

import pytest

from certcore.events import (
    DeliveryFailed,
    DeliveryReason,
    DeliverySucceeded,
    DeploymentOrdered,
    DeploymentOrderedV1,
)
from certdelivery.model import Finding, Held, Wanted
from tests.issuing import CERTIFICATE_ID, NAME
from tests.unit.certdelivery.running import (
    ISSUED,
    WEB,
    order_of,
    ordered,
    reported_events,
    running,
    settled,
    until,
)
from tests.unit.certdelivery.shelf import Shelf, World


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"fingerprint_sha256": "0" * 64}, DeliveryReason.BUNDLE_INVALID),
        ({"serial": "abc"}, DeliveryReason.BUNDLE_INVALID),
        ({"bundle_sha256": "0" * 64}, DeliveryReason.BUNDLE_INVALID),
        ({"variant": "platform-rsa"}, DeliveryReason.BUNDLE_UNAVAILABLE),
    ],
)
async def test_a_bundle_that_is_not_what_was_ordered_is_never_delivered(
    change: dict[str, str], reason: DeliveryReason
) -> None:
    world, shelf = World(), Shelf()
    order = order_of(world, 1)
    (item,) = order.placements
    async with running(world, a=shelf) as engine:
        await ordered(engine, order.model_copy(update={"placements": (item.model_copy(update=change),)}))
        await until(lambda: bool(world.reported))
    assert isinstance(world.reported[0], DeliveryFailed)
    assert world.reported[0].reason is reason
    assert shelf.held == {}


async def test_the_first_contract_s_order_is_carried_out_with_its_revision_as_generation() -> None:
    world, shelf = World(), Shelf()
    order = order_of(world, 3)
    (item,) = order.placements
    leaf = ISSUED[3].leaf
    first = DeploymentOrderedV1.model_validate(
        {
            "certificate_id": CERTIFICATE_ID,
            "name": NAME,
            "revision": 3,
            "serial": leaf.serial,
            "fingerprint_sha256": leaf.fingerprint_sha256,
            "not_after": leaf.not_after,
            "dns_names": leaf.dns_names,
            "bundle_sha256": item.bundle_sha256,
            "targets": [WEB.model_dump(), {"name": "odd"}],
        }
    )
    async with running(world, a=shelf) as engine:
        await ordered(engine, first)
        await until(lambda: len(world.reported) == 2)
    (failed,) = reported_events(world, DeliveryFailed)
    assert (failed.target, failed.generation, failed.reason) == ("odd", 3, DeliveryReason.UNREADABLE_ORDER)
    assert shelf.held[NAME] == Held(3, leaf.fingerprint_sha256, 3)


async def test_of_an_order_with_bad_items_the_good_one_is_served_and_the_others_are_reported_once() -> None:
    world, shelf = World(), Shelf()
    good = order_of(world, 5).model_dump(mode="json")
    (item,) = good["placements"]
    good["placements"] += [
        {**item, "target": {"kind": "moon", "name": "far"}},
        {**item, "target": {"kind": "shelf", "name": "jump"}, "action": "explode"},
        {**item, "target": {"kind": "shelf", "name": "../up"}},
        {**item, "target": {"kind": "shelf", "name": "broken", "shelves": "crash"}},
        {**item, "target": {"kind": "shelf", "name": "elsewhere", "shelves": ["a", "nowhere"]}},
        {**item, "target": {"kind": "shelf", "name": "half"}, "serial": None},
        {**item, "target": {"name": "kindless"}},
        {**item, "target": {"kind": "shelf", "name": "huge"}, "revision": 10**12},
        7,
    ]
    order = DeploymentOrdered.model_validate(good)
    world.orders = [order]
    async with running(world, a=shelf) as engine:
        await until(lambda: NAME in shelf.held and len(world.reported) == 10)
        await engine.reconcile()
        await settled()
    reported = {event.target: event.reason for event in reported_events(world, DeliveryFailed)}
    unreadable = DeliveryReason.UNREADABLE_ORDER
    assert reported == {
        "far": DeliveryReason.UNKNOWN_KIND,
        "jump": unreadable,
        "../up": unreadable,
        "broken": unreadable,
        "elsewhere": DeliveryReason.UNKNOWN_PLACE,
        "half": unreadable,
        "kindless": unreadable,
        "huge": unreadable,
        "unknown": unreadable,
    }
    assert len(reported_events(world, DeliveryFailed)) == 9
    assert len(reported_events(world, DeliverySucceeded)) == 1


async def test_several_bad_items_of_one_name_are_reported_together_and_once() -> None:
    world, shelf = World(), Shelf()
    order = order_of(world, 5).model_dump(mode="json")
    order["placements"] += [7, 8, order["placements"][0]]
    world.orders = [DeploymentOrdered.model_validate(order)]
    async with running(world, a=shelf) as engine:
        await until(lambda: len(world.reported) == 2 and NAME in shelf.held)
        for _ in range(3):
            await engine.reconcile()
            await settled()
    reported = {event.target: event.detail for event in reported_events(world, DeliveryFailed)}
    assert set(reported) == {"unknown", "web"}
    assert "placements.1" in reported["unknown"]
    assert "placements.2" in reported["unknown"]
    assert reported["web"] == "the order names this target twice"
    assert len(world.reported) == 2


async def test_a_driver_that_breaks_is_reported_and_stops_no_other() -> None:
    class Broken(Shelf):
        async def refresh(self) -> None:
            raise ZeroDivisionError

        async def inspect(self, wanted: Wanted) -> Finding:
            raise ZeroDivisionError(wanted.name)

        async def close(self) -> None:
            raise ZeroDivisionError

    world, shelf = World(), Shelf()
    world.orders = [order_of(world, 1)]
    async with running(world, a=Broken(), b=shelf) as engine:
        await until(lambda: bool(world.reported) and NAME in shelf.held)
        await engine.reconcile()
    assert isinstance(world.reported[0], DeliveryFailed)
    assert world.reported[0].detail == "the driver of kind shelf failed: ZeroDivisionError"
    assert shelf.done[-1] == "close"


@pytest.mark.parametrize("name", ["../../escaped", "a b", "", "A", "x" * 64, "a.b", "-a"])
async def test_a_certificate_whose_name_could_be_a_path_reaches_no_driver_and_is_reported(name: str) -> None:
    world, shelf = World(), Shelf()
    world.orders = [order_of(world, 1).model_copy(update={"name": name})]
    async with running(world, a=shelf):
        await until(lambda: bool(world.reported))
        await settled()
    assert [type(event) for event in world.reported] == [DeliveryFailed]
    assert shelf.done == ["close"]


@pytest.mark.parametrize("certificate_id", ["a.b", "../..", "", "x" * 65, "*"])
async def test_a_certificate_whose_id_can_t_stand_in_a_subject_reaches_no_driver(certificate_id: str) -> None:
    world, shelf = World(), Shelf()
    world.orders = [order_of(world, 1).model_copy(update={"certificate_id": certificate_id})]
    async with running(world, a=shelf):
        await settled()
    assert world.reported == []
    assert shelf.done == ["close"]

"""A single request beside a burst of another team."""

import asyncio
from collections.abc import Collection
from pathlib import Path

import pytest

from certcore.events import Priority, RevisionIssued
from certlocal.tools import Tell
from tests.integration.issuer.bus_peer import an_order
from tests.integration.issuer.scene import Scene, a_scene, until

pytestmark = pytest.mark.integration

BURST = 100
BESIDE = 60
"""Of the burst, more are issued meanwhile only where the one behind it waits for its end."""


def _issued(scene: Scene, names: Collection[str]) -> int:
    return len({event.certificate_id for event in scene.peer.reports(RevisionIssued)} & set(names))


async def test_a_single_request_is_issued_while_the_burst_before_it_waits(tmp_path: Path, tell: Tell) -> None:
    burst = [f"b{number}" for number in range(BURST)]
    async with a_scene(tmp_path, tell=tell) as scene:
        orders = [an_order(name, f"{name}.example.org", owner="shop") for name in burst]
        await asyncio.gather(*map(scene.peer.order, orders))
        began = _issued(scene, burst)
        await scene.peer.order(an_order("single", "single.example.org", owner="bank"))
        await scene.peer.wait_for(RevisionIssued, certificate_ids=["single"])
        before = _issued(scene, burst)
        tell(f"a single request was issued when {before} of a burst of {BURST} were")
        assert before - began < BESIDE
        await scene.peer.wait_for(RevisionIssued, certificate_ids=burst)
        assert len(scene.pebble.finalized_orders()) == BURST + 1


async def test_what_is_urgent_is_issued_before_what_the_same_owner_asked_for_earlier(
    tmp_path: Path, tell: Tell
) -> None:
    routine = [f"r{number}" for number in range(BURST)]
    async with a_scene(tmp_path, tell=tell) as scene:
        orders = [an_order(name, f"{name}.example.org", owner="shop") for name in routine]
        await asyncio.gather(*map(scene.peer.order, orders))
        began = _issued(scene, routine)
        await scene.peer.order(an_order("urgent", "urgent.example.org", owner="shop", priority=Priority.URGENT))
        await until(lambda: _issued(scene, ["urgent"]), what="the urgent one")
        assert _issued(scene, routine) - began < BESIDE

"""A single request beside a burst of another team."""

import asyncio
from pathlib import Path

import pytest

from certcore.events import Priority, RevisionIssued
from certlocal.tools import Tell
from tests.integration.issuer.bus_peer import an_order
from tests.integration.issuer.scene import Scene, a_scene, until

pytestmark = pytest.mark.integration

BURST = 100
IN_FLIGHT = 32
"""As many of the burst may be under way when the one behind it comes, as the CA's settings have it by default."""


def opened_before(scene: Scene, certificate: str) -> int:
    """How many orders of others the issuer opened from when it accepted this one's until it opened that."""
    told = [
        (line["event"], line["certificate_id"])
        for line in scene.log()
        if line["event"] in {"issue_order_accepted", "order_opened"}
    ]
    accepted, opened = (told.index((event, certificate)) for event in ("issue_order_accepted", "order_opened"))
    return sum(event == "order_opened" for event, _ in told[accepted:opened])


async def test_a_single_request_is_issued_while_the_burst_before_it_waits(tmp_path: Path, tell: Tell) -> None:
    burst = [f"b{number}" for number in range(BURST)]
    async with a_scene(tmp_path, tell=tell) as scene:
        orders = [an_order(name, f"{name}.example.org", owner="shop") for name in burst]
        await asyncio.gather(*map(scene.peer.order, orders))
        await scene.peer.order(an_order("single", "single.example.org", owner="bank"))
        await scene.peer.wait_for(RevisionIssued, certificate_ids=["single", *burst])
        before = opened_before(scene, "single")
        tell(f"{before} orders of a burst of {BURST} were opened while a single request waited")
        assert before <= IN_FLIGHT
        assert len(scene.pebble.finalized_orders()) == BURST + 1


async def test_what_is_urgent_is_issued_before_what_the_same_owner_asked_for_earlier(
    tmp_path: Path, tell: Tell
) -> None:
    routine = [f"r{number}" for number in range(BURST)]
    async with a_scene(tmp_path, tell=tell) as scene:
        orders = [an_order(name, f"{name}.example.org", owner="shop") for name in routine]
        await asyncio.gather(*map(scene.peer.order, orders))
        await scene.peer.order(an_order("urgent", "urgent.example.org", owner="shop", priority=Priority.URGENT))
        await until(lambda: scene.peer.reports(RevisionIssued, "urgent"), what="the urgent one")
        assert opened_before(scene, "urgent") <= IN_FLIGHT

"""Each stream has its lane: what a stream does that is missing, full, slow or lost is no other stream's business."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from statistics import median

import pytest
import pytest_asyncio
from nats.js.api import DiscardPolicy, StreamConfig

from certcore import subjects
from certcore.errors import TransientError
from certkit.declare import declare
from certkit.topology import topology
from tests import servers
from tests.integration.registry.outbox_world import OutboxWorld, outbox_world
from tests.patience import HANG_S
from tests.postgres_server import database

pytestmark = pytest.mark.integration

FRA1, AMS1 = "DEPLOY_fra1", "DEPLOY_ams1"
NEVER_S = 1.0
"""A lane delays no other so long; on a busy machine a single look may take longer."""


@pytest_asyncio.fixture
async def world() -> AsyncIterator[OutboxWorld]:
    async with servers.broker(sites=["fra1", "ams1"]) as broker, outbox_world(broker) as found:
        yield found


def config(stream: str) -> StreamConfig:
    return topology(["fra1", "ams1"]).stream(stream)


async def test_a_missing_stream_parks_its_own_lane_and_is_served_when_it_is_declared(world: OutboxWorld) -> None:
    await world.js.delete_stream(FRA1)
    waiting = await world.commit(FRA1, count=300)
    took = []
    for _ in range(5):
        took.append(await world.holds(AMS1, await world.commit(AMS1)))
        took.append(await world.holds(subjects.CERTS, await world.commit(subjects.CERTS)))
    print(f"others took {max(took):.3f} s at most")
    assert median(took) <= NEVER_S
    await world.raised("lane_parked", FRA1)
    assert "no stream takes it" in world.relay.parked()[FRA1][1]
    assert await world.unsent() == {FRA1: 300}
    assert world.relay.parked().keys() == {FRA1}
    await declare(world.js, topology(["fra1", "ams1"]), apply=True)
    back = await world.holds(FRA1, waiting)
    print(f"back after {back:.1f} s")
    await world.raised("lane_parked", FRA1, yes=False)
    await world.all_sent()
    assert world.relay.parked() == {}


async def test_a_full_stream_parks_its_own_lane_until_there_is_room(world: OutboxWorld) -> None:
    await world.js.delete_stream(FRA1)
    await world.js.add_stream(
        StreamConfig(
            name=FRA1,
            subjects=["certs.deploy.fra1.>"],
            max_bytes=20_000,
            discard=DiscardPolicy.NEW,
            allow_direct=True,
        )
    )
    waiting = await world.commit(FRA1, count=100)
    took = [await world.holds(AMS1, await world.commit(AMS1)) for _ in range(5)]
    assert median(took) <= NEVER_S
    await world.raised("lane_parked", FRA1)
    assert "maximum bytes" in world.relay.parked()[FRA1][1]
    stored = await world.ids(FRA1)
    assert 0 < len(stored) < 100
    await world.js.update_stream(
        StreamConfig(
            name=FRA1,
            subjects=["certs.deploy.fra1.>"],
            max_bytes=1_000_000,
            discard=DiscardPolicy.NEW,
            allow_direct=True,
        )
    )
    await world.holds(FRA1, waiting)
    await world.raised("lane_parked", FRA1, yes=False)
    assert sorted(await world.ids(FRA1)) == sorted(waiting)


async def test_the_single_event_of_an_owner_overtakes_the_burst_of_another(world: OutboxWorld) -> None:
    burst = await world.commit(subjects.CERTS, owner="loud", count=3000)
    single = await world.commit(subjects.CERTS, owner="quiet")
    await world.count(subjects.CERTS, len(burst) + 1)
    place = (await world.ids(subjects.CERTS)).index(single[0])
    print(f"{place} of 3000 events were before it")
    assert place < 1500


async def test_of_one_certificate_the_order_is_kept_across_faults(world: OutboxWorld) -> None:
    broker = world.broker.process.pid
    assert broker is not None
    ids = await world.commit(subjects.CERTS, about="c-1", count=20)
    await asyncio.sleep(0.02)
    os.kill(broker, signal.SIGSTOP)
    ids += await world.commit(subjects.CERTS, about="c-1", count=20)
    others = await world.commit(subjects.CERTS, count=200)
    # Longer than an answer is waited for: what is in flight counts as failed, and is published again.
    await asyncio.sleep(6.0)
    os.kill(broker, signal.SIGCONT)
    took = await world.holds(subjects.CERTS, [*ids, *others])
    print(f"back after {took:.1f} s")
    held = await world.ids(subjects.CERTS)
    assert [event_id for event_id in held if event_id in set(ids)] == ids
    assert len(held) == len(set(held)) == 240


async def test_what_was_stored_and_not_marked_when_the_relay_died_is_stored_once(world: OutboxWorld) -> None:
    ids = await world.commit(subjects.CERTS, count=200)
    await world.holds(subjects.CERTS, ids[:1])
    await world.stop()
    left = (await world.unsent()).get(subjects.CERTS, 0)
    print(f"{left} were not marked")
    world.start()
    await world.holds(subjects.CERTS, ids)
    await world.all_sent()
    assert sorted(await world.ids(subjects.CERTS)) == sorted(ids)


async def test_a_task_of_the_relay_that_was_cancelled_from_elsewhere_ends_it_so_that_it_is_started_again(
    world: OutboxWorld,
) -> None:
    await world.holds(FRA1, await world.commit(FRA1))
    for name in ("lane DEPLOY_fra1", "mark"):
        [task] = [task for task in asyncio.all_tasks() if task.get_name() == name]
        task.cancel()
        with pytest.raises(TransientError, match=name):
            await asyncio.wait_for(world.relay_ended(), HANG_S)
        await world.stop()
        world.start()
        await world.holds(FRA1, await world.commit(FRA1))


async def test_two_replicas_store_each_event_once_and_in_the_order_of_its_certificate(tmp_path: Path) -> None:
    async with (
        servers.broker(sites=["fra1", "ams1"]) as broker,
        database("postgresql", tmp_path) as url,
        outbox_world(broker, url=url) as first,
        outbox_world(broker, url=url) as second,
    ):
        ordered: list[str] = []
        every: list[str] = []
        for number in range(20):
            world = (first, second)[number % 2]
            ordered += await world.commit(subjects.CERTS, about="c-1")
            every += await world.commit(subjects.CERTS, owner=f"team-{number % 3}", count=10)
        await first.holds(subjects.CERTS, [*ordered, *every])
        await first.all_sent()
        held = await first.ids(subjects.CERTS)
        assert [event_id for event_id in held if event_id in set(ordered)] == ordered
        assert len(held) == len(set(held)) == 220


async def test_a_message_carries_its_events_trace_and_names_its_stream(world: OutboxWorld) -> None:
    [event_id] = await world.commit(subjects.CERTS)
    await world.holds(subjects.CERTS, [event_id])
    [message] = await world.messages(subjects.CERTS)
    headers = message.headers or {}
    assert headers["traceparent"] == "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
    assert headers["Nats-Expected-Stream"] == subjects.CERTS
    assert headers["Nats-Msg-Id"] == headers["ce-id"] == event_id


async def test_an_event_that_is_too_large_for_its_stream_holds_up_only_its_own_certificate(
    world: OutboxWorld,
) -> None:
    small = config(subjects.CERTS)
    small.max_msg_size = 700
    await world.js.update_stream(small)
    await world.commit(subjects.CERTS, owner="o" * 63, about="c" * 100)
    behind = await world.commit(subjects.CERTS, about="c" * 100)
    others = await world.commit(subjects.CERTS, count=20)
    await world.holds(subjects.CERTS, others)
    assert not set(behind) & set(await world.ids(subjects.CERTS))
    assert world.relay.parked() == {}


async def test_the_metrics_show_what_waits_and_for_how_long(world: OutboxWorld) -> None:
    await world.js.delete_stream(FRA1)
    await world.commit(FRA1, count=3)
    began = time.monotonic()
    while not world.metric("certbus_outbox_parked", FRA1):
        assert time.monotonic() - began < 60.0
        await asyncio.sleep(0.1)
    assert world.metric("certbus_outbox_unsent", FRA1) == 3
    assert (world.metric("certbus_outbox_oldest_seconds", FRA1) or 0.0) > 0.0
    sent = await world.commit(subjects.CERTS, count=2)
    await world.holds(subjects.CERTS, sent)
    assert world.metric("certbus_outbox_published_total", subjects.CERTS) == 2


async def test_a_remade_stream_gets_the_newest_deployment_of_each_certificate_again(world: OutboxWorld) -> None:
    await world.commit(FRA1, about="c-1")
    newest = [*(await world.commit(FRA1, about="c-1")), *(await world.commit(FRA1, about="c-2"))]
    await world.all_sent()
    await world.known(FRA1)
    await world.js.delete_stream(FRA1)
    await world.raised("stream_lost", FRA1)
    await declare(world.js, topology(["fra1", "ams1"]), apply=True)
    print(f"filled after {await world.holds(FRA1, newest):.1f} s")
    await world.raised("stream_lost", FRA1, yes=False)
    await world.all_sent()
    assert sorted(await world.ids(FRA1)) == sorted(newest)


async def test_for_a_lost_stream_of_reports_the_place_is_ordered_again_what_to_report(world: OutboxWorld) -> None:
    ids = await world.commit(FRA1, count=3)
    others = await world.commit(AMS1, count=3)
    await world.all_sent()
    await world.known("STATUS_fra1")
    last = (await world.js.stream_info(FRA1)).state.last_seq
    await world.js.delete_stream("STATUS_fra1")
    await declare(world.js, topology(["fra1", "ams1"]), apply=True)
    began = time.monotonic()
    while (await world.js.stream_info(FRA1)).state.last_seq < last + len(ids):
        assert time.monotonic() - began < 60.0
        await asyncio.sleep(0.05)
    assert sorted(await world.ids(FRA1)) == sorted(ids)
    held = await world.messages(AMS1)
    assert [(item.headers or {})["Nats-Msg-Id"] for item in held] == others


async def test_a_stream_that_was_remade_while_nobody_looked_is_filled_at_the_start(world: OutboxWorld) -> None:
    ids = await world.commit(FRA1, count=50)
    await world.all_sent()
    await world.known(FRA1)
    await world.stop()
    await world.js.delete_stream(FRA1)
    await declare(world.js, topology(["fra1", "ams1"]), apply=True)
    world.start()
    await world.holds(FRA1, ids)
    await world.raised("stream_lost", FRA1, yes=False)


async def test_a_rewound_stream_is_noticed_and_filled_and_its_consumers_get_what_is_new(world: OutboxWorld) -> None:
    answers = await _stream_of_answers(world)
    before = await world.commit(answers, count=60)
    await world.all_sent()
    reader = await world.js.pull_subscribe(">", durable="reader", stream=answers)
    for message in await reader.fetch(60, timeout=10.0):
        await message.ack_sync()
    await world.known(answers)
    await world.broker.stop()
    _flip_a_bit(world, answers)
    await world.broker.start()
    after = await world.commit(answers, count=3)
    await world.holds(answers, [*before, *after])
    assert ("stream_lost", answers) in world.alarms.ever
    await world.raised("stream_lost", answers, yes=False)
    got: set[str] = set()
    while not {*before, *after} <= got:
        for message in await reader.fetch(10, timeout=30.0):
            got.add((message.headers or {})["ce-id"])
            await message.ack()


async def _stream_of_answers(world: OutboxWorld) -> str:
    await declare(world.js, topology(["fra1", "ams1"], owners=["shop"]), apply=True)
    return subjects.answers_stream("shop")


def _flip_a_bit(world: OutboxWorld, stream: str) -> None:
    [block] = (world.broker.store / "jetstream" / "$G" / "streams" / stream / "msgs").glob("*.blk")
    damaged = bytearray(block.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    block.write_bytes(damaged)

"""What is committed is published: once, in order for each certificate, whatever dies in between."""

import asyncio
import os
import random
import signal
import time
from collections.abc import AsyncIterator
from contextlib import suppress

import httpx
import pytest
import pytest_asyncio

from certcore.api import Role
from certkit.declare import declare
from certkit.topology import topology
from tests.integration.registry.bodies import a_body, encoded
from tests.integration.registry.bus import Bus, eventually
from tests.registry_process import OWNERS, Person, RunningRegistry
from tests.servers import SITES

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="package")]

KILLS = 6

EACH = 3
"""Events of a request: requested, approved, its health."""


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def bus(mortal: RunningRegistry) -> AsyncIterator[Bus]:
    async with Bus.connect(mortal.nats_url) as connected:
        yield connected


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def ana(mortal: RunningRegistry) -> Person:
    return await mortal.person("ana", Role.REQUESTER)


def logged(registry: RunningRegistry, *, after: int = 0) -> dict[str, list[str]]:
    """By certificate, the ids of its events in the order in which they were committed."""
    found: dict[str, list[str]] = {}
    query = "SELECT id, about FROM event WHERE stream = 'CERTS' AND sequence > ? ORDER BY sequence"
    for row in registry.process.rows(query, after):
        found.setdefault(row["about"], []).append(row["id"])
    return found


def newest(registry: RunningRegistry) -> int:
    """The sequence of the event that was committed last."""
    return int(registry.process.rows("SELECT MAX(sequence) AS last FROM event")[0]["last"])


async def published(bus: Bus, *, after: int = 0) -> dict[str, list[str]]:
    """By certificate, the ids of its events as the stream has them."""
    found: dict[str, list[str]] = {}
    for message in await bus.messages("CERTS"):
        if (message.seq or 0) > after:
            headers = message.headers or {}
            found.setdefault(headers["ce-subject"], []).append(headers["ce-id"])
    return found


def unsent(registry: RunningRegistry) -> int:
    return len(registry.process.rows("SELECT id FROM event WHERE sent_at IS NULL"))


async def relayed(registry: RunningRegistry) -> None:
    async def look() -> bool:
        return unsent(registry) == 0

    await eventually(look, what="the outbox is empty")


async def test_each_committed_event_is_published_once_and_in_order_however_often_the_registry_dies(
    mortal: RunningRegistry, bus: Bus, ana: Person
) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    order = random.Random(seed)
    broker = mortal.broker.process.pid
    assert broker is not None
    taken: set[str] = set()
    left = []

    async def ask_until_it_dies() -> None:
        with suppress(httpx.TransportError):
            while True:
                body = a_body()
                if (await ana.post("/v1/requests", json=body)).status_code == 202:
                    taken.add(body["name"])

    for number in range(KILLS):
        # In every other round nothing reaches the broker any more: all of it is between commit and publish.
        stopped = number % 2 == 1
        if stopped:
            os.kill(broker, signal.SIGSTOP)
        asking = [asyncio.create_task(ask_until_it_dies()) for _ in range(3)]
        enough = len(taken) + order.randrange(1, 6)

        async def enough_taken(enough: int = enough) -> bool:
            return len(taken) >= enough

        await eventually(enough_taken, what="requests are taken")
        await asyncio.sleep(order.uniform(0, 0.05))
        mortal.process.kill()
        left.append(unsent(mortal))
        if stopped:
            os.kill(broker, signal.SIGCONT)
        await asyncio.gather(*asking)
        await mortal.process.start()
    await relayed(mortal)
    print(f"left in the outbox at each kill: {left}")

    assert all(left[1::2])
    assert await published(bus) == logged(mortal)
    stored = {row["name"] for row in mortal.process.rows("SELECT name FROM certificate")}
    assert taken <= stored
    assert len(taken) > KILLS


async def test_a_lost_stream_gets_every_order_that_nobody_carried_out_again(
    mortal: RunningRegistry, bus: Bus, ana: Person
) -> None:
    assert (await ana.post("/v1/requests", json=a_body())).status_code == 202
    await relayed(mortal)
    before = newest(mortal)
    await bus.js.delete_stream("CERTS")
    for _ in range(3):
        assert (await ana.post("/v1/requests", json=a_body())).status_code == 202
    assert unsent(mortal) == 3 * EACH
    await declare(bus.js, topology(SITES, owners=OWNERS), apply=True)
    orders = mortal.process.rows("SELECT id FROM event WHERE type = 'certbus.certificate.approved.v1'")

    async def look() -> bool:
        found = {event_id for ids in (await published(bus)).values() for event_id in ids}
        return found >= {row["id"] for row in orders}

    await eventually(look, what="every order is there again")
    await relayed(mortal)
    stored = await published(bus)
    for about, ids in logged(mortal, after=before).items():
        # The order among them may be there twice: each is the same event.
        assert list(dict.fromkeys(stored[about])) == ids


async def test_a_lost_stream_of_requests_is_read_again_once_it_is_declared(bus: Bus) -> None:
    await bus.js.delete_stream("REQUESTS")
    await declare(bus.js, topology(SITES, owners=OWNERS), apply=True)
    event_id = await bus.ask(encoded(a_body()))
    assert (await bus.answer(event_id)).accepted


async def test_a_request_that_came_while_the_registry_was_away_is_answered(mortal: RunningRegistry, bus: Bus) -> None:
    await mortal.process.stop()
    good = await bus.ask(encoded(a_body()))
    bad = await bus.ask(encoded({**a_body(), "name": "No Name"}))
    await mortal.process.start()
    assert (await bus.answer(good)).accepted
    assert (await bus.answer(bad)).fields == ["name"]


async def test_a_broker_that_died_stops_no_request_and_gets_every_event_later(
    mortal: RunningRegistry, bus: Bus, ana: Person
) -> None:
    await relayed(mortal)
    before, stored = newest(mortal), (await bus.js.stream_info("CERTS")).state.last_seq
    mortal.broker.process.kill()

    async def readiness(status: int) -> bool:
        return (await mortal.nobody.get("/readyz")).status_code == status

    try:
        await eventually(lambda: readiness(503), what="the registry says that it isn't ready")
        assert (await mortal.nobody.get("/healthz")).status_code == 200
        for _ in range(3):
            assert (await ana.post("/v1/requests", json=a_body())).status_code == 202
        assert unsent(mortal) == 3 * EACH
    finally:
        await mortal.broker.start()
    await eventually(lambda: readiness(200), what="the registry is ready again")
    await relayed(mortal)
    assert await published(bus, after=stored) == logged(mortal, after=before)
    assert (await bus.asked(encoded(a_body()))).accepted


async def test_a_follower_holds_up_no_stop(mortal: RunningRegistry) -> None:
    async with mortal.http.stream("GET", "/v1/events", headers=mortal.admin.headers) as followed:
        lines = followed.aiter_lines()
        await anext(lines)
        began = time.monotonic()
        await mortal.process.stop()
        took = time.monotonic() - began
        async for _ in lines:
            pass
    assert took < 5.0
    await mortal.process.start()

"""A bus of the form before becomes one of this form: nothing unhandled is lost, nothing handled comes again."""

import asyncio
import random
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import cast

import nats
import pytest
import pytest_asyncio
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import StreamConfig

from certcore.errors import PermanentError
from certkit.declare import declare
from certkit.migration import Migrated
from certkit.topology import topology
from tests.integration.certkit import bus_before

pytestmark = pytest.mark.integration

_SITES, _OWNERS = ("site1", "site2"), ("payments", "web")
_WANTED = topology(_SITES, owners=_OWNERS)


@pytest_asyncio.fixture
async def client(nats_url: str) -> AsyncIterator[Client]:
    """A client of a bus of the form before, with messages."""
    connected = await nats.connect(nats_url)
    await bus_before.make(connected)
    await bus_before.fill(connected)
    yield connected
    await connected.close()


@pytest_asyncio.fixture
async def answered(nats_url: str) -> AsyncIterator[JetStreamContext]:
    """A bus where ANSWERS is of all owners."""
    connected = await nats.connect(nats_url)
    js = connected.jetstream()
    await js.add_stream(
        StreamConfig(name="ANSWERS", subjects=["certs.answer.>"], max_age=86400, metadata={"certbus.form": "2"})
    )
    for subject, name in (("payments.r1", "a1"), ("web.r2", "a2"), ("payments.r3", "a3")):
        await bus_before.publish(js, f"certs.answer.{subject}", name)
    yield js
    await connected.close()


async def test_what_was_not_handled_is_moved_once_and_no_old_stream_stays(client: Client) -> None:
    js = client.jetstream()
    told = await declare(js, _WANTED, apply=True)

    assert await bus_before.held(js) == bus_before.MOVED
    assert await declare(js, _WANTED, apply=False) == []
    lines = [item.line(applied=True) for item in told if isinstance(item, Migrated)]
    assert [line.partition(":")[0] for line in lines] == ["STATUS", "DLQ", "CERTS", "REQUESTS", "ALERTS"]
    assert "8 unhandled reports moved, 3 handled before" in lines[0]
    assert "5 dead letters moved" in lines[1]
    assert "2 answers moved" in lines[2]
    assert "3 unhandled moved" in lines[3]
    assert "1 handled before" in lines[4]


async def test_consumers_that_stay_go_on_where_they_were(client: Client) -> None:
    js = client.jetstream()
    await declare(js, _WANTED, apply=True)

    for stream, durable, expected in (
        ("CERTS", "issuer", ["e3"]),
        ("DEPLOY_site1", "site1-syncer", ["d2"]),
        ("REQUESTS", "requests-web", ["r2", "r5"]),
        ("REQUESTS", "requests-payments", ["r4"]),
        ("STATUS_site2", "registry", ["s9", "s10"]),
        ("LAST_site1", "registry", ["s8"]),
        ("ALERTS", "alerts-payments", ["al3", "al4"]),
        ("ALERTS", "registry-alerts", ["al2", "al3", "al4"]),
    ):
        reading = await js.pull_subscribe("", durable, stream=stream)
        messages = await reading.fetch(10, timeout=0.5)
        assert [(message.headers or {})["ce-id"] for message in messages] == expected


async def test_answers_of_one_stream_for_all_owners_are_moved_to_each_owner_s(answered: JetStreamContext) -> None:
    js = answered
    told = await declare(js, topology([], owners=["payments"]), apply=True)

    held = await bus_before.held(js)
    assert held["ANSWERS_payments"] == [("certs.answer.payments.r1", "a1"), ("certs.answer.payments.r3", "a3")]
    assert held["ANSWERS"] == [("certs.answer.web.r2", "a2")]
    assert "keeps answers to web until they are too old" in told[0].line(applied=True)
    await declare(js, _WANTED, apply=True)

    held = await bus_before.held(js)
    assert held["ANSWERS_web"] == [("certs.answer.web.r2", "a2")]
    assert "ANSWERS" not in held
    assert await declare(js, _WANTED, apply=True) == []


@pytest.mark.parametrize("seed", range(5))
async def test_a_killed_move_of_answers_is_ended_by_the_next(answered: JetStreamContext, seed: int) -> None:
    js, dice = answered, random.Random(seed)
    for _ in range(4):
        mortal = Mortal(js, calls=dice.randrange(1, 30), answered=dice.random() < 0.5)
        with suppress(KilledError):
            await declare(cast("JetStreamContext", mortal), _WANTED, apply=True)
    await declare(js, _WANTED, apply=True)

    held = await bus_before.held(js)
    assert held["ANSWERS_payments"] == [("certs.answer.payments.r1", "a1"), ("certs.answer.payments.r3", "a3")]
    assert held["ANSWERS_web"] == [("certs.answer.web.r2", "a2")]
    assert "ANSWERS" not in held


@pytest.mark.parametrize("seed", range(10))
async def test_a_declare_step_that_is_killed_anywhere_is_ended_by_the_next(client: Client, seed: int) -> None:
    js, dice = client.jetstream(), random.Random(seed)
    for _ in range(8):
        mortal = Mortal(js, calls=dice.randrange(1, 60), answered=dice.random() < 0.5)
        with suppress(KilledError):
            await declare(cast("JetStreamContext", mortal), _WANTED, apply=True)
    await declare(js, _WANTED, apply=True)

    assert await bus_before.held(js) == bus_before.MOVED
    assert await declare(js, _WANTED, apply=True) == []


class KilledError(Exception):
    pass


class Mortal:
    """Ends with a call to the broker: before it left, or before its answer came."""

    def __init__(self, js: JetStreamContext, *, calls: int, answered: bool) -> None:
        self._js, self._left, self._answered = js, calls, answered

    def __getattr__(self, name: str) -> Callable[..., Awaitable[object]]:
        async def call(*arguments: object, **options: object) -> object:
            self._left -= 1
            if self._left > 0 or self._answered:
                answer = await getattr(self._js, name)(*arguments, **options)
            if self._left <= 0:
                raise KilledError
            return answer

        return call


async def test_a_killed_command_is_ended_by_the_next(client: Client, nats_url: str) -> None:
    argv = [sys.executable, "-m", "certkit.declare", "--plain-text", "--url", nats_url, "--apply"]
    argv += [word for site in _SITES for word in ("--site", site)]
    argv += [word for owner in _OWNERS for word in ("--owner", owner)]
    first = await asyncio.create_subprocess_exec(*argv)
    async with asyncio.timeout(30):
        while "STATUS_hub" not in {info.config.name for info in await client.jetstream().streams_info()}:
            await client.flush()
    first.send_signal(signal.SIGKILL)
    await first.wait()
    second = await asyncio.create_subprocess_exec(*argv)

    assert await second.wait() == 0
    assert await bus_before.held(client.jetstream()) == bus_before.MOVED


async def test_without_apply_the_old_streams_are_told_and_left(client: Client) -> None:
    js = client.jetstream()
    before = await bus_before.held(js)
    told = [item.name for item in await declare(js, _WANTED, apply=False) if isinstance(item, Migrated)]

    assert told == ["REQUESTS", "STATUS", "ALERTS", "DLQ", "CERTS"]
    assert await bus_before.held(js) == before


async def test_reports_of_a_place_that_is_not_declared_are_kept_and_the_place_is_named(client: Client) -> None:
    js = client.jetstream()
    with pytest.raises(PermanentError, match="unhandled reports of site2: declare"):
        await declare(js, topology(["site1"], owners=_OWNERS), apply=True)
    await bus_before.publish(js, "certs.status.site1.syncer.succeeded.c7", "later")
    await declare(js, _WANTED, apply=True)

    held = await bus_before.held(js)
    assert held["STATUS_site2"] == bus_before.MOVED["STATUS_site2"]
    assert held["STATUS_site1"][-1] == ("certs.status.site1.syncer.delivery_succeeded.c7", "later")


async def test_more_requests_than_one_owner_may_have_waiting_are_all_moved(client: Client) -> None:
    js = client.jetstream()
    for number in range(250):
        await bus_before.publish(js, "certs.request.web.more", f"more{number}")
    await declare(js, _WANTED, apply=True)

    [drift] = await declare(js, _WANTED, apply=False)
    assert drift.line(applied=False) == "REQUESTS: max_msgs_per_subject is 252, declared 200"
    reading = await js.pull_subscribe("", "requests-web", stream="REQUESTS")
    for _ in range(252):
        [message] = await reading.fetch(1, timeout=5)
        await message.ack_sync()
    await declare(js, _WANTED, apply=True)
    assert await declare(js, _WANTED, apply=False) == []


async def test_a_report_that_was_repeated_under_its_id_is_moved_once(client: Client) -> None:
    js = client.jetstream()
    config = (await js.stream_info("STATUS")).config
    await js.update_stream(replace(config, duplicate_window=0.1))
    await bus_before.publish(js, "certs.status.site1.pusher.failed.c7", "again")
    async with asyncio.timeout(10):
        while not await _stored_twice(js, "again"):
            await bus_before.publish(js, "certs.status.site1.pusher.failed.c7", "again")
    await declare(js, _WANTED, apply=True)

    held = await bus_before.held(js)
    assert held["STATUS_site1"][-1] == ("certs.status.site1.pusher.delivery_failed.c7", "again")
    assert [name for _, name in held["STATUS_site1"]].count("again") == 1


async def _stored_twice(js: JetStreamContext, name: str) -> bool:
    return [stored for _, stored in (await bus_before.held(js))["STATUS"]].count(name) == 2


async def test_a_request_of_an_owner_that_is_not_declared_waits_and_is_told(client: Client) -> None:
    js = client.jetstream()
    told = await declare(js, topology(_SITES, owners=["payments"]), apply=True)

    assert told[-1].line(applied=True) == "REQUESTS: requests of web wait and nobody reads them: declare the owner"
    assert ("certs.request.web.submit", "r2") in (await bus_before.held(js))["REQUESTS"]

"""The log of events over HTTP: followed live, resumed where it broke off, seen only by whom it concerns."""

import asyncio
import json
import random
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from certcore.api import Role
from certcore.cloudevents import headers_of
from certcore.events import AlertRaised, AlertResolved
from tests.integration.registry.bodies import a_body, encoded
from tests.integration.registry.bus import Bus
from tests.patience import HANG_S
from tests.registry_process import Person, RunningRegistry

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="package")]

ALERTS = "registry-alerts"

EACH = 3
"""Events of a request that policy approves at once."""


@dataclass(frozen=True)
class Seen:
    id: str
    type: str
    event: dict[str, Any]


class Follower:
    def __init__(self, lines: AsyncIterator[str]) -> None:
        self._lines = lines

    async def begin(self) -> str:
        """The id from which to go on, told before any event."""
        fields = await self._block()
        assert fields.keys() == {"id"}
        return fields["id"]

    async def next(self) -> Seen:
        """The next event."""
        while True:
            fields = await self._block()
            if "data" in fields:
                return Seen(fields["id"], fields["event"], json.loads(fields["data"]))

    async def _block(self) -> dict[str, str]:
        fields: dict[str, str] = {}
        async with asyncio.timeout(HANG_S):
            while line := await anext(self._lines):
                name, _, value = line.partition(": ")
                fields[name] = value
        return fields


@asynccontextmanager
async def following(
    person: Person, *, since: str | None = None, last_event_id: str | None = None
) -> AsyncIterator[Follower]:
    headers: Mapping[str, str] = {"last-event-id": last_event_id} if last_event_id is not None else {}
    parameters = {"since": since} if since else {}
    async with person.http.stream(
        "GET", "/v1/events", params=parameters, headers={**person.headers, **headers}
    ) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        yield Follower(response.aiter_lines())


async def requested(person: Person, **changes: Any) -> str:
    response = await person.post("/v1/requests", json=a_body(**changes))
    assert response.status_code == 202, response.text
    certificate_id: str = response.json()["certificate_id"]
    return certificate_id


def logged(registry: RunningRegistry) -> list[str]:
    return [row["id"] for row in registry.process.rows("SELECT id FROM event ORDER BY sequence")]


async def test_the_log_is_followed_live_from_now_on(registry: RunningRegistry, ana: Person) -> None:
    before = await requested(ana)
    async with following(registry.admin, since="now") as follower:
        about = await requested(ana)
        seen = [await follower.next() for _ in range(EACH)]
    first = seen[0]
    assert [one.type for one in seen] == [
        "certbus.certificate.requested.v1",
        "certbus.certificate.approved.v1",
        "certbus.certificate.health_changed.v1",
    ]
    assert {one.event["subject"] for one in seen} == {about} != {before}
    assert (first.event["id"], first.event["type"]) == (first.id, first.type)
    assert (first.event["specversion"], first.event["source"]) == ("1.0", "certbus/hub/registry")
    assert datetime.fromisoformat(first.event["time"]).tzinfo is not None
    assert first.event["data"]["requester"] == "ana"


async def test_the_whole_log_is_told_in_the_order_in_which_it_was_written(
    registry: RunningRegistry, ana: Person
) -> None:
    await requested(ana)
    ids = logged(registry)
    async with following(registry.admin) as follower:
        assert [(await follower.next()).id for _ in ids] == ids


async def test_who_lost_the_connection_misses_nothing_and_sees_nothing_twice(
    registry: RunningRegistry, ana: Person
) -> None:
    async with following(registry.admin, since="now") as follower:
        await requested(ana)
        seen = [(await follower.next()).id]
    await requested(ana)
    for _ in range(2):
        async with following(registry.admin, last_event_id=seen[-1], since="now") as follower:
            seen += [(await follower.next()).id for _ in range(2)]
        await requested(ana)
    ids = logged(registry)
    begin = ids.index(seen[0])
    assert seen == ids[begin : begin + len(seen)]


async def test_who_saw_nothing_yet_goes_on_from_where_the_stream_began(
    registry: RunningRegistry, ana: Person
) -> None:
    await requested(ana)
    async with following(registry.admin, since="now") as follower:
        began = await follower.begin()
    assert began == logged(registry)[-1]
    about = await requested(ana)
    async with following(registry.admin, last_event_id=began, since="now") as follower:
        assert (await follower.next()).event["subject"] == about


async def test_an_id_that_nobody_knows_begins_where_it_was_asked(registry: RunningRegistry, ana: Person) -> None:
    ids = logged(registry)
    async with following(registry.admin, last_event_id="' OR 1=1 --") as follower:
        assert (await follower.next()).id == ids[0]
    async with following(registry.admin, last_event_id="lost", since="now") as follower:
        about = await requested(ana)
        assert (await follower.next()).event["subject"] == about


async def test_a_team_follows_its_own(registry: RunningRegistry, ana: Person) -> None:
    vic = await registry.person("vic", Role.VIEWER, owner="press")
    paul = await registry.person("paul", Role.REQUESTER, owner="press")
    async with following(vic, since="now") as theirs, following(registry.admin, since="now") as all_of_it:
        await requested(ana)
        own = await requested(paul)
        assert {(await theirs.next()).event["subject"] for _ in range(EACH)} == {own}
        owners = [(await all_of_it.next()).event["data"]["owner"] for _ in range(2 * EACH)]
        assert owners == ["shop"] * EACH + ["press"] * EACH


async def test_a_slow_follower_holds_up_nobody(registry: RunningRegistry, ana: Person) -> None:
    async with following(registry.admin), following(registry.admin, since="now") as quick:
        about = await requested(ana)
        assert (await quick.next()).event["subject"] == about


async def test_followers_that_leave_at_any_moment_hold_up_nobody(registry: RunningRegistry, ana: Person) -> None:
    """Cut off inside of a transaction, one of them could keep the database's lock for ever."""
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    order = random.Random(seed)

    async def come_and_go(came: asyncio.Event) -> None:
        async with following(registry.admin, since="now") as follower:
            came.set()
            with suppress(TimeoutError):
                async with asyncio.timeout(order.uniform(0, 0.15)):
                    while True:
                        await follower.next()

    for _ in range(12):
        came = [asyncio.Event() for _ in range(5)]
        async with asyncio.TaskGroup() as followers:
            for event in came:
                followers.create_task(come_and_go(event))
            for event in came:
                await event.wait()
            for _ in range(3):
                await requested(ana)
    assert not [line for line in registry.process.log_lines if "Task was destroyed" in line]


async def test_an_alert_on_the_bus_is_told_once(registry: RunningRegistry, bus: Bus, ana: Person) -> None:
    about = await requested(ana)
    facts = {
        "alert_id": f"alert-of-{about}",
        "severity": "critical",
        "owner": "shop",
        "reason": "other",
        "subject": "https://app.internal.example.test",
        "certificate_id": about,
        "certificate_name": "app",
        "url": "https://app.internal.example.test",
        "summary": "serves something else than wanted\n<b>really</b>",
        "since": datetime.now(UTC),
    }
    raised = AlertRaised.model_validate(facts)
    resolved = AlertResolved.model_validate({**facts, "resolved_at": datetime.now(UTC)})
    async with following(ana, since="now") as follower:
        for event in (raised, raised, resolved):
            event_id = f"{event.type}-of-{about}"
            headers = headers_of(event, event_id=event_id, source="certbus/monitor", time=raised.since, about=about)
            del headers["Nats-Msg-Id"]
            await bus.publish("certs.alert.shop.a1", event.model_dump_json().encode(), headers)
        first, second = await follower.next(), await follower.next()
    assert [first.type, second.type] == [raised.type, resolved.type]
    assert first.event["source"] == "certbus/monitor"
    assert AlertRaised.model_validate(first.event["data"]) == raised
    rows = registry.process.rows("SELECT sent_at FROM event WHERE about = ? AND stream = 'ALERTS'", about)
    assert len(rows) == 2
    assert all(row["sent_at"] for row in rows)
    # What was heard is not said again.
    assert len(await bus.messages("ALERTS", "certs.alert.shop.a1")) == 3


async def test_an_alert_that_can_t_stand_in_the_log_is_set_aside(
    registry: RunningRegistry, bus: Bus, ana: Person
) -> None:
    about = await requested(ana)
    taken = logged(registry)[0]
    alert = AlertRaised(
        alert_id="a",
        severity="info",
        owner="shop",
        reason="other",
        subject="",
        certificate_id=about,
        certificate_name="app",
        url="",
        summary="",
        since=datetime.now(UTC),
    )
    body = alert.model_dump_json().encode()
    before, letters = registry.process.dump()["event"], len(await bus.dead_letters(ALERTS))
    bad: list[tuple[bytes, dict[str, str]]] = [
        (body, {"ce-type": alert.type, "ce-source": "monitor"}),
        (body, {"ce-type": alert.type, "ce-source": "monitor", "ce-id": taken}),
        (body, {"ce-type": alert.type, "ce-source": "monitor", "ce-id": "x" * 129}),
        (body, {"ce-type": "certbus.alert.raised.v3", "ce-source": "monitor", "ce-id": str(uuid.uuid4())}),
        (b"{", {"ce-type": alert.type, "ce-source": "monitor", "ce-id": str(uuid.uuid4())}),
        (b"{}", {"ce-type": alert.type, "ce-source": "monitor", "ce-id": str(uuid.uuid4())}),
    ]
    for content, headers in bad:
        await bus.publish("certs.alert.shop.a2", content, headers)
    await bus.settled("ALERTS", ALERTS)
    assert len(await bus.dead_letters(ALERTS)) == letters + len(bad)
    known = {row["id"] for row in before}
    assert not [
        row for row in registry.process.dump()["event"] if row["id"] not in known and row["stream"] == "ALERTS"
    ]
    assert (await bus.asked(encoded(a_body()))).accepted

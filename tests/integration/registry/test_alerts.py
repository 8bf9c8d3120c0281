"""Alerts: what others announce, and what the registry finds wrong with the system itself."""

import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from certcore.alerts import AlertState, AlertView
from certcore.api import Page, Role
from certcore.cloudevents import headers_of
from certcore.events import Alert, AlertRaised, AlertResolved, AlertUpdated, SiteHeartbeat
from certcore.identities import ALERTS_DURABLE
from tests.integration.registry.bus import Bus, eventually
from tests.registry_process import Person, RunningRegistry, running_registry
from tests.reports import handled, publish_report

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

NOW = datetime.now(UTC)
MINUTE = timedelta(minutes=1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def watching() -> AsyncIterator[RunningRegistry]:
    """A registry that looks all the time what is wrong."""
    async with running_registry(health_sweep_every_s=3600.0, watch_every_s=0.2) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bus(watching: RunningRegistry) -> AsyncIterator[Bus]:
    async with Bus.connect(watching.nats_url) as connected:
        yield connected


async def alerts(person: Person, **query: Any) -> list[AlertView]:
    response = await person.get("/v1/alerts", params=query)
    assert response.status_code == 200, response.text
    return list(Page[AlertView].model_validate_json(response.content).items)


async def seen(person: Person, reason: str, subject: str, state: AlertState) -> AlertView:
    async def look() -> AlertView | None:
        # While the registry is away or its bus is, nobody answers.
        found = await alerts(person)
        return next((one for one in found if (one.reason, one.subject, one.state) == (reason, subject, state)), None)

    return await eventually(look, what=f"{reason} of {subject} {state}")


async def tell(bus: Bus, event: Alert) -> None:
    headers = headers_of(event, event_id=str(uuid.uuid4()), source="certbus/hub/monitor", time=NOW, about="c1")
    await bus.publish(f"certs.alert.{event.owner}.{event.alert_id}", event.model_dump_json().encode(), headers)


def facts(owner: str, alert_id: str, **changes: Any) -> dict[str, Any]:
    fields = {
        "alert_id": alert_id,
        "severity": "critical",
        "owner": owner,
        "reason": "serves_other_than_wanted",
        "subject": f"https://{alert_id}.example.test",
        "summary": "it serves another",
        "since": NOW,
    }
    return fields | changes


async def test_an_alert_of_the_monitor_is_listed_until_it_is_resolved_and_nothing_late_opens_it_again(
    watching: RunningRegistry, bus: Bus
) -> None:
    ana = await watching.person("ana", Role.VIEWER)
    await tell(bus, AlertRaised(**facts("shop", "a1")))
    await bus.settled("ALERTS", ALERTS_DURABLE)
    [shown] = await alerts(ana, state="open")
    assert (shown.id, shown.severity, shown.source) == ("a1", "critical", "certbus/hub/monitor")

    await tell(bus, AlertResolved(**facts("shop", "a1"), resolved_at=NOW + MINUTE))
    await tell(bus, AlertRaised(**facts("shop", "a1")))
    await bus.settled("ALERTS", ALERTS_DURABLE)
    assert await alerts(ana, state="open") == []
    [shown] = await alerts(ana, state="resolved")
    assert shown.resolved_at == NOW + MINUTE
    await tell(bus, AlertRaised(**facts("shop", "a1", since=NOW + 2 * MINUTE)))
    await bus.settled("ALERTS", ALERTS_DURABLE)
    assert len(await alerts(ana, state="open")) == 1


async def test_a_team_sees_its_own_alerts_in_pages_and_an_operator_everybody_s(
    watching: RunningRegistry, bus: Bus
) -> None:
    carl = await watching.person("carl", Role.VIEWER, owner="treasury")
    for number in range(3):
        await tell(bus, AlertRaised(**facts("treasury", f"t{number}", since=NOW + number * MINUTE)))
    await bus.settled("ALERTS", ALERTS_DURABLE)

    assert [one.id for one in await alerts(carl)] == ["t2", "t1", "t0"]
    first = await carl.get("/v1/alerts", params={"limit": 2})
    last = await alerts(carl, limit=2, after=first.json()["next"])
    assert [one["id"] for one in first.json()["items"]] == ["t2", "t1"]
    assert [one.id for one in last] == ["t0"]
    assert (await carl.get("/v1/alerts", params={"owner": "shop"})).status_code == 404
    assert {one.owner for one in await alerts(watching.admin)} >= {"treasury"}
    assert {one.owner for one in await alerts(watching.admin, owner="treasury")} == {"treasury"}
    assert (await carl.get("/v1/alerts", params={"after": "x"})).status_code == 422
    assert (await watching.nobody.get("/v1/alerts")).status_code == 401
    page = await watching.admin.get("/list")
    assert "https://t2.example.test" in page.text


async def test_an_event_that_was_set_aside_is_an_alert_of_its_place(watching: RunningRegistry, bus: Bus) -> None:
    letters = len(await bus.dead_letters(ALERTS_DURABLE))
    await bus.publish("certs.status.site1.syncer.novelty.c1", b"{}", {"ce-type": "certbus.novelty.v1", "ce-id": "n1"})

    shown = await seen(watching.admin, "dead_letters", "hub", AlertState.OPEN)
    assert shown.summary.endswith("could not be handled by registry")
    assert shown.owner == "platform"
    # It is announced, and that the registry hears it itself changes nothing.
    [message] = [one for one in await told(bus, shown.id) if one.type == AlertRaised.type]
    assert message.since == shown.since
    await bus.settled("ALERTS", ALERTS_DURABLE)
    assert len(await bus.dead_letters(ALERTS_DURABLE)) == letters

    await bus.js.purge_stream("DLQ_hub")
    await seen(watching.admin, "dead_letters", "hub", AlertState.RESOLVED)


async def told(bus: Bus, alert_id: str) -> list[AlertRaised | AlertResolved]:
    """What was announced of an alert of the platform."""

    async def look() -> list[AlertRaised | AlertResolved]:
        kinds = {kind.type: kind for kind in (AlertRaised, AlertResolved)}
        found = await bus.messages("ALERTS", f"certs.alert.platform.{alert_id}")
        return [kinds[(one.headers or {})["ce-type"]].model_validate_json(one.data or b"") for one in found]

    return await eventually(look, what=f"{alert_id} was announced")


async def test_a_service_that_started_again_is_told_and_what_it_says_of_its_readiness_is_kept(
    watching: RunningRegistry, bus: Bus
) -> None:
    for started in (NOW, NOW + MINUTE):
        beat = SiteHeartbeat(
            site="site2", service="syncer", version="1", started=started, not_ready="the disk is full"
        )
        headers = headers_of(beat, event_id=str(uuid.uuid4()), source="certbus/site2/syncer", time=NOW, about="site2")
        await publish_report(bus.js, beat, place="site2", service="syncer", about="site2", headers=headers)
    await handled(bus.js)

    shown = await seen(watching.admin, "service_restarted", "site2/syncer", AlertState.OPEN)
    assert shown.severity == "info"
    [row] = watching.process.rows("SELECT not_ready FROM service WHERE place = 'site2' AND service = 'syncer'")
    assert row == {"not_ready": "the disk is full"}


async def test_a_killed_registry_tells_that_it_started_again_and_a_stopped_one_does_not(
    watching: RunningRegistry,
) -> None:
    await watching.process.stop()
    assert watching.process.rows("SELECT stopped_at IS NULL AS killed FROM run") == [{"killed": 0}]
    await watching.process.start()
    assert "service_restarted of hub/registry" not in [
        f"{one.reason} of {one.subject}" for one in await alerts(watching.admin)
    ]
    watching.process.kill()
    await watching.process.start()
    await seen(watching.admin, "service_restarted", "hub/registry", AlertState.OPEN)


async def test_a_broker_that_is_away_is_an_alert_at_once_and_announced_when_it_is_back(
    watching: RunningRegistry, bus: Bus
) -> None:
    await watching.broker.stop()
    shown = await seen(watching.admin, "bus_unreachable", "bus", AlertState.OPEN)
    assert shown.severity == "critical"
    await watching.broker.start()

    async def lighter() -> bool:
        # Also a cut that is too short to be seen from here is told for some minutes.
        [now] = [one for one in await alerts(watching.admin, state="open") if one.reason == "bus_unreachable"]
        return now.severity == "warning"

    await eventually(lighter, what="the bus was seen back")

    async def announced() -> bool:
        kinds = {
            (one.headers or {})["ce-type"] for one in await bus.messages("ALERTS", f"certs.alert.platform.{shown.id}")
        }
        return kinds == {AlertRaised.type, AlertUpdated.type}

    await eventually(announced, what="the alert was announced")

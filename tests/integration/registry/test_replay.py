"""An operator has stored events published again, and sees before which they are."""

import pytest

from certcore.api import Role
from tests.integration.registry.bodies import a_body
from tests.integration.registry.bus import Bus, eventually
from tests.registry_process import Person, RunningRegistry

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="package")]


async def asked_for(ana: Person) -> tuple[str, str]:
    """Name and id of a new certificate."""
    body = a_body()
    answer = await ana.post("/v1/requests", json=body)
    assert answer.status_code == 202
    return body["name"], answer.json()["certificate_id"]


async def messages(bus: Bus, certificate_id: str) -> list[tuple[str, str]]:
    """Event id and message id of everything about a certificate that the stream has."""
    found = await bus.messages("CERTS", f"certs.ev.*.{certificate_id}")
    return [((item.headers or {})["ce-id"], (item.headers or {})["Nats-Msg-Id"]) for item in found]


async def test_a_dry_run_shows_what_a_replay_then_publishes_under_the_same_event_ids(
    registry: RunningRegistry, bus: Bus, ana: Person
) -> None:
    name, certificate_id = await asked_for(ana)

    async def published(count: int) -> bool:
        sent = registry.process.rows("SELECT id FROM event WHERE about = ? AND sent_at IS NULL", certificate_id)
        return not sent and len(await messages(bus, certificate_id)) == count

    await eventually(lambda: published(3), what="the events are published")
    before = await messages(bus, certificate_id)
    order = {"certificate": name}
    shown = (await registry.admin.post("/v1/events/replay?dry_run=true", json=order)).json()
    assert [event["id"] for event in shown["events"]] == [event_id for event_id, _ in before]
    assert shown["total"] == 3
    assert await messages(bus, certificate_id) == before
    done = (await registry.admin.post("/v1/events/replay", json=order)).json()
    assert done == shown
    await eventually(lambda: published(6), what="they are published again")
    again = (await messages(bus, certificate_id))[3:]
    assert again == [(event_id, f"{event_id}.1") for event_id, _ in before]
    notes = registry.process.rows("SELECT actor, object FROM audit WHERE action = 'replay events'")
    assert [(note["actor"], note["object"]) for note in notes] == [("admin", name)]

    one = {"ids": [before[0][0]], "stream": "CERTS"}
    assert (await registry.admin.post("/v1/events/replay", json=one)).json()["total"] == 1
    await eventually(lambda: published(7), what="one is published a third time")
    assert (await messages(bus, certificate_id))[-1] == (before[0][0], f"{before[0][0]}.2")


@pytest.mark.parametrize(
    ("order", "status", "words"),
    [
        ({}, 422, "give ids, a certificate, a stream or a time"),
        ({"ids": ["no-such"]}, 404, "there is no event no-such"),
        ({"certificate": "no-such"}, 404, "there is no certificate no-such"),
        ({"stream": "DEPLOY_nowhere"}, 404, "no event that was published"),
        ({"since": "2026-03-01T12:00:00"}, 422, "since"),
    ],
)
async def test_what_can_not_be_selected_is_refused_with_the_reason(
    registry: RunningRegistry, order: dict[str, object], status: int, words: str
) -> None:
    answer = await registry.admin.post("/v1/events/replay", json=order)
    assert answer.status_code == status
    assert words in answer.text


async def test_only_an_operator_may(registry: RunningRegistry) -> None:
    viewer = await registry.person("vera", Role.VIEWER, Role.AUDITOR, Role.APPROVER)
    assert (await viewer.post("/v1/events/replay", json={"stream": "CERTS"})).status_code == 403

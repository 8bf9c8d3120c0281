"""Alerts are stored with what they tell of, and leave when the bus takes them."""

from datetime import UTC, datetime

import pytest
from faststream.nats import NatsBroker

from certcore.errors import TransientError
from certcore.events import Event
from certkit.bus import EventPublisher
from monitor.adapters.store import Announcement, Store
from monitor.domain.alerting import resolution
from monitor.domain.watched import EndpointRecord
from monitor.handlers.alerts import AlertRelay
from tests.unit.monitor.expectations import NOON, URL, raised

pytestmark = pytest.mark.integration

RECORD = EndpointRecord(certificate_id="c1", url=URL)
ALERT = raised(now=NOON)
RAISED, RESOLVED = Announcement.of(ALERT), Announcement.of(resolution(ALERT, now=NOON))


class Bus(EventPublisher):
    """Takes events only while it is up."""

    def __init__(self) -> None:
        super().__init__(broker=NatsBroker(), source="/test", clock=lambda: datetime.now(UTC))
        self.up = False
        self.taken: list[tuple[str, str | None, Event]] = []

    async def publish(
        self,
        event: Event,
        *,
        subject: str,
        stream: str,  # noqa: ARG002 # the base class has it
        about: str,  # noqa: ARG002 # as above
        event_id: str | None = None,
    ) -> str:
        if not self.up:
            raise TransientError("the bus is down")
        self.taken.append((subject, event_id, event))
        return event_id or ""


async def test_what_the_bus_didnt_take_is_published_in_order_when_it_is_back(store: Store) -> None:
    bus = Bus()
    relay = AlertRelay(store=store, publisher=bus)
    await store.save_record(RECORD, [RAISED, RESOLVED])
    await relay.flush()
    assert bus.taken == []
    bus.up = True
    await relay.flush()
    await relay.flush()
    subject = f"certs.alert.team-shop.{ALERT.alert_id}"
    assert bus.taken == [(subject, item.event_id, item.event) for item in (RAISED, RESOLVED)]
    assert await store.unsent() == []


async def test_a_crash_after_the_bus_took_it_repeats_it_under_the_same_id(store: Store) -> None:
    bus = Bus()
    bus.up = True
    await store.save_record(RECORD, [RAISED])
    [item] = await store.unsent()
    await bus.publish(item.event, subject="", stream="", about="", event_id=item.event_id)
    await AlertRelay(store=store, publisher=bus).flush()
    assert len({event_id for _, event_id, _ in bus.taken}) == 1

from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import CollectorRegistry

from certcore.errors import TransientError
from certcore.events import CONTRACT, Event, SiteHeartbeat
from certcore.identities import Service
from certkit.heartbeat import Heartbeat
from certkit.readiness import Finding, Readiness
from certkit.standstill import Standstill

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Stream:
    def __init__(self) -> None:
        self.stored: list[tuple[Event, str]] = []
        self.away = False

    async def publish(self, event: Event, *, about: str) -> None:
        if self.away:
            raise TransientError("the bus is away")
        self.stored.append((event, about))


async def test_a_heartbeat_tells_since_when_the_process_runs_and_what_keeps_it_from_its_work() -> None:
    stream, metrics, now, problem = Stream(), CollectorRegistry(), NOON, None

    async def reached() -> Finding:
        return Finding(check="bus", problem=problem)

    heartbeat = Heartbeat(
        stream,
        place="site1",
        service=Service.SYNCER,
        version="1",
        readiness=Readiness(bus=reached),
        metrics=metrics,
        clock=lambda: now,
        kinds=["kubernetes", "files"],
        clusters=["east"],
    )
    now = NOON + timedelta(seconds=5)
    await heartbeat.beat()
    problem = "it can't be reached"
    await heartbeat.beat()
    common = {
        "site": "site1",
        "service": "syncer",
        "version": "1",
        "clusters": ("east",),
        "kinds": ("files", "kubernetes"),
        "contract": CONTRACT,
        "started": NOON,
    }
    assert stream.stored == [
        (SiteHeartbeat(**common), "site1"),
        (SiteHeartbeat(**common, not_ready="bus: it can't be reached"), "site1"),
    ]
    labels = {"place": "site1", "service": "syncer"}
    assert metrics.get_sample_value("certbus_heartbeat_timestamp_seconds", labels) == now.timestamp()

    stream.away, now = True, NOON + timedelta(seconds=10)
    with pytest.raises(TransientError):
        await heartbeat.beat()
    stored = metrics.get_sample_value("certbus_heartbeat_timestamp_seconds", labels)
    assert stored == (NOON + timedelta(seconds=5)).timestamp()


async def test_a_heartbeat_tells_since_when_it_was_stored_that_the_service_is_not_ready() -> None:
    stream, instant, problem = Stream(), 1000.0, "full"

    def disk() -> list[Finding]:
        return [Finding(check="disk", problem=problem or None)]

    heartbeat = Heartbeat(
        stream,
        place="site1",
        service=Service.SYNCER,
        version="1",
        readiness=Readiness(disk),
        metrics=CollectorRegistry(),
        clock=lambda: NOON,
        now=lambda: instant,
    )
    stream.away = True
    # A cut of the bus itself is nothing that was said.
    with pytest.raises(TransientError):
        await heartbeat.beat()
    stream.away = False
    for found in ("full", "full", "worn", "", "full"):
        problem = found
        instant += 15.0
        await heartbeat.beat()
    said = [event.not_ready_s for event, _ in stream.stored if isinstance(event, SiteHeartbeat)]
    assert said == [0.0, 15.0, 30.0, 0.0, 0.0]


async def test_a_heartbeat_tells_a_pause_when_it_can_be_sent_again() -> None:
    stream, instant = Stream(), 1000.0
    standstill = Standstill(now=lambda: instant)
    standstill.begin()
    heartbeat = Heartbeat(
        stream,
        place="site1",
        service=Service.SYNCER,
        version="1",
        readiness=Readiness(),
        metrics=CollectorRegistry(),
        clock=lambda: NOON,
        standstill=standstill,
    )
    stream.away = True
    instant += 30.0
    with pytest.raises(TransientError):
        await heartbeat.beat()
    stream.away = False
    await heartbeat.beat()
    [(event, _)] = stream.stored
    assert isinstance(event, SiteHeartbeat)
    assert event.stood_still_s == 29.0

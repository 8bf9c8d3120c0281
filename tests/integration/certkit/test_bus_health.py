"""What a broker says of its health is told to readiness, metrics and whoever raises alarms."""

import resource
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import nats
import pytest
import pytest_asyncio
from nats.js import JetStreamContext
from prometheus_client import CollectorRegistry

from certcore.errors import TransientError
from certkit.bus_health import BusHealth
from certkit.readiness import Finding
from certlocal.nats_server import NatsServer
from tests import servers

pytestmark = pytest.mark.integration

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
WELL = [Finding(check="broker")]


class Alarm:
    def __init__(self) -> None:
        self.told: list[str | None] = []
        self.away = False

    async def bus_is(self, problem: str | None, /) -> None:
        if self.away:
            raise TransientError("the database is locked")
        self.told.append(problem)


@pytest_asyncio.fixture
async def server() -> AsyncIterator[NatsServer]:
    async with servers.broker(sites=[]) as running:
        yield running


class Watched:
    def __init__(self, server: NatsServer) -> None:
        self.alarm = Alarm()
        self._metrics = CollectorRegistry()
        self.health = BusHealth(
            monitor_url=server.monitor_url,
            tls=None,
            metrics=self._metrics,
            clock=lambda: NOON,
            listener=self.alarm,
        )

    @property
    def gauge(self) -> float | None:
        return self._metrics.get_sample_value("certbus_bus_healthy")


def limit_files(server: NatsServer, size: int) -> None:
    """No file of the broker may grow beyond `size`: its writes fail as on a full disk."""
    pid = server.process.pid
    assert pid is not None
    _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, most))


async def is_stored(js: JetStreamContext) -> bool:
    try:
        await js.publish("certs.ev.approved.c1", b"x" * 100_000, timeout=2)
    except (TimeoutError, nats.errors.Error):
        return False
    return True


async def test_a_broker_that_could_not_write_is_not_well_before_it_was_restarted(server: NatsServer) -> None:
    watched = Watched(server)
    client = await nats.connect(server.url)
    js = client.jetstream()
    await watched.health.look()
    assert (watched.health.findings(), watched.gauge, watched.alarm.told) == (WELL, 1, [None])

    limit_files(server, 1_000_000)
    assert not all([await is_stored(js) for _ in range(20)])
    await watched.health.look()
    [finding] = watched.health.findings()
    assert finding.problem is not None
    assert finding.problem.startswith("JetStream stream '$G > CERTS' write error")
    assert finding.problem.endswith("make room on its disk, then restart the broker")
    assert (finding.since, watched.gauge, watched.alarm.told) == (NOON, 0, [None, finding.problem])

    limit_files(server, resource.RLIM_INFINITY)
    assert not await is_stored(js)
    await watched.health.look()
    assert watched.health.findings() == [finding]
    assert len(watched.alarm.told) == 2, "a change is told, not each look"

    await client.close()
    await server.stop()
    await server.start()
    await watched.health.look()
    assert (watched.health.findings(), watched.gauge, watched.alarm.told[-1]) == (WELL, 1, None)
    client = await nats.connect(server.url)
    assert await is_stored(client.jetstream())
    await client.close()


async def test_a_monitoring_that_is_not_reached_is_told_and_keeps_nobody_from_work(server: NatsServer) -> None:
    watched = Watched(server)
    await server.stop()
    await watched.health.look()
    [finding] = watched.health.findings()
    assert (finding.problem, finding.detail) == (None, "its monitoring can't be read: ConnectError")
    assert (watched.gauge, watched.alarm.told) == (0, [finding.detail])


async def test_an_alarm_that_could_not_be_raised_is_raised_in_the_next_round(server: NatsServer) -> None:
    watched = Watched(server)
    watched.alarm.away = True
    with pytest.raises(TransientError):
        await watched.health.look()
    watched.alarm.away = False
    await watched.health.look()
    assert watched.alarm.told == [None]

"""A registry that lost a stream repeats all expectations: what is known costs nothing, and nothing new is lost."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from prometheus_client import CollectorRegistry

from certcore.cloudevents import Envelope
from certcore.errors import TransientError
from certkit.registry_client import RegistryClient
from monitor.adapters.gauges import Gauges
from monitor.adapters.store import Store
from monitor.domain.roster import Roster
from monitor.domain.schedule import Periods
from monitor.domain.watched import Expected
from monitor.handlers.alerts import AlertRelay
from monitor.handlers.expectations import Expectations
from tests.integration.monitor.monitor_database import monitor_database
from tests.integration.monitor.test_alerts import Bus
from tests.registry_standin import registry_standin
from tests.unit.monitor.expectations import NOON, expectation

pytestmark = pytest.mark.integration

ENVELOPE = Envelope(id="e1", type="", source="", subject="")


class CountingStore(Store):
    """Counts what is saved; refuses the first, as many as `refuses` says."""

    saved = 0
    refuses = 0

    async def save_expected(self, expected: Expected) -> None:
        if self.refuses:
            self.refuses -= 1
            raise TransientError("the disk is full")
        self.saved += 1
        await super().save_expected(expected)


@dataclass
class Watching:
    store: CountingStore
    registry: RegistryClient
    woken: int = 0

    def __post_init__(self) -> None:
        self.roster = Roster()
        period = timedelta(seconds=30)
        self.expectations = Expectations(
            roster=self.roster,
            store=self.store,
            registry=self.registry,
            relay=AlertRelay(store=self.store, publisher=Bus()),
            gauges=Gauges(CollectorRegistry()),
            wake=self.wake,
            clock=lambda: NOON,
            periods=Periods(routine=period, rollout=period, grace=period),
        )

    def wake(self) -> None:
        self.woken += 1

    async def hear(self, wanted: int) -> None:
        await self.expectations.on_endpoints_expected(expectation(wanted), ENVELOPE)

    def asked(self) -> bool:
        [watch] = self.roster.watches()
        answer, watch.asked = watch.asked, False
        return answer


@pytest_asyncio.fixture
async def watching(tmp_path: Path) -> AsyncIterator[Watching]:
    async with (
        registry_standin() as registry,
        RegistryClient(registry.settings(tmp_path)) as client,
        monitor_database(tmp_path) as database,
    ):
        yield Watching(CountingStore(database), client)


async def test_what_is_known_is_asked_for_again_and_not_stored_again(watching: Watching) -> None:
    await watching.hear(1)
    assert (watching.store.saved, watching.woken, watching.asked()) == (1, 1, True)
    await watching.hear(1)
    assert (watching.store.saved, watching.woken, watching.asked()) == (1, 2, True)
    await watching.hear(2)
    assert watching.store.saved == 2


async def test_what_is_known_and_could_not_be_stored_is_stored_when_it_comes_again(watching: Watching) -> None:
    watching.store.refuses = 1
    with pytest.raises(TransientError):
        await watching.hear(1)
    await watching.hear(1)
    assert watching.store.saved == 1
    [stored], _ = await watching.store.load()
    assert stored.event.generation == 1

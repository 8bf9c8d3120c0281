"""The monitor tells of a registry that can't tell itself, also after a restart of its own."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from certcore.events import AlertRaised, AlertResolved
from certkit.registry_client import RegistryClient
from monitor.adapters.store import Store
from monitor.handlers.alerts import AlertRelay
from monitor.handlers.registry_watch import RegistryWatch
from tests.integration.monitor.test_alerts import Bus
from tests.registry_standin import registry_standin
from tests.unit.monitor.expectations import NOON

pytestmark = pytest.mark.integration


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


async def test_a_registry_that_is_away_is_an_alert_until_it_is_back(store: Store, tmp_path: Path) -> None:
    bus, clock = Bus(), Clock()
    bus.up = True
    relay = AlertRelay(store=store, publisher=bus)
    async with registry_standin() as registry, RegistryClient(registry.settings(tmp_path)) as client:

        async def look(after_s: int) -> None:
            # Each by a monitor that has just started.
            clock.now = NOON + timedelta(seconds=after_s)
            watch = RegistryWatch(registry=client, store=store, relay=relay, clock=clock, grace=timedelta(seconds=30))
            await watch.look()

        await look(0)
        registry.down = True
        await look(10)
        await look(30)
        assert bus.taken == []
        await look(40)
        [(subject, _, raised)] = bus.taken
        assert isinstance(raised, AlertRaised)
        assert (raised.reason, subject) == ("registry_not_ready", f"certs.alert.platform.{raised.alert_id}")
        registry.down = False
        await look(50)
        await look(60)

        assert [type(event) for _, _, event in bus.taken] == [AlertRaised, AlertResolved]


async def test_a_registry_that_nobody_listens_for_is_unreachable(store: Store, tmp_path: Path) -> None:
    bus = Bus()
    bus.up = True
    async with registry_standin() as registry:
        settings = registry.settings(tmp_path)
    async with RegistryClient(settings) as client:
        watch = RegistryWatch(
            registry=client,
            store=store,
            relay=AlertRelay(store=store, publisher=bus),
            clock=Clock(),
            grace=timedelta(0),
        )
        await watch.look()

    [(_, _, raised)] = bus.taken
    assert isinstance(raised, AlertRaised)
    assert raised.reason == "registry_unreachable"

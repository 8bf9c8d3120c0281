"""The registry notices that it stood still itself, and tells so as of any other service."""

from datetime import timedelta
from pathlib import Path

import pytest

from certkit.standstill import Standstill
from registry.adapters.outbox import SOURCE, Bell, Outbox
from registry.domain.alarm import Alarm, Patience
from registry.handlers.alarms import Alarms
from registry.handlers.watch import Watch
from tests.integration.registry.costs import QuietBus
from tests.integration.registry.world import World, schema, world

pytestmark = pytest.mark.integration


def watch(made: World, standstill: Standstill) -> Watch:
    return Watch(
        store=made.store,
        alarms=Alarms(outbox=Outbox(clock=made.clock, new_id=made.new_id), clock=made.clock),
        bell=Bell(),
        bus=QuietBus(),
        standstill=standstill,
        clock=made.clock,
        patience=Patience(),
    )


async def told(made: World) -> list[tuple[str, str]]:
    reasons = [Alarm.SERVICE_STOOD_STILL]
    found = await made.store.read(lambda transaction: transaction.alerts.open(source=SOURCE, reasons=reasons))
    return [(alert.subject, alert.summary.partition(" before ")[0]) for alert in found]


async def test_it_tells_its_own_standstill_whichever_registry_looks_until_ten_minutes_are_over(
    tmp_path: Path,
) -> None:
    async with world(await schema(tmp_path), "standstills") as made:
        instant = 1000.0
        standstill = Standstill(now=lambda: instant)
        standstill.begin()
        first, second = watch(made, standstill), watch(made, Standstill())
        async with first.running("a", failed=lambda: False), second.running("b", failed=lambda: False):
            instant += 10.9
            await first.look()
            assert await told(made) == []
            instant += 26.0
            await first.look()
            stood_still = [("hub/registry", "hub/registry stood still for 25 s")]
            assert await told(made) == stood_still
            # It notices once; and another one that shares the database doesn't end what it knows nothing of.
            made.now += timedelta(minutes=1)
            await first.look()
            await second.look()
            assert await told(made) == stood_still
            made.now += timedelta(minutes=9)
            await second.look()
            assert await told(made) == []

import asyncio

import pytest

from certcore.errors import TransientError
from certkit.standstill import Pauses, Standstill, late_by


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def told(standstill: Standstill) -> float:
    with standstill.telling() as seconds:
        return seconds


def told_in_vain(standstill: Standstill) -> None:
    with pytest.raises(TransientError), standstill.telling():
        raise TransientError("the bus is away")


def test_a_tick_is_late_by_what_it_took_longer_than_it_was_meant_to() -> None:
    assert late_by(10.0, 11.0, tick_s=1.0) == 0.0
    assert late_by(10.0, 40.5, tick_s=1.0) == 29.5
    # A timer may be a little early.
    assert late_by(10.0, 10.99, tick_s=1.0) == 0.0


def test_the_longest_pause_since_the_one_that_was_told_is_told() -> None:
    standstill = Standstill(now=Clock())
    assert told(standstill) == 0.0
    for late_s in (4.0, 29.0, 12.0):
        standstill.ticked(late_s)
    assert told(standstill) == 29.0
    standstill.ticked(12.0)
    assert told(standstill) == 12.0


def test_the_hiccups_of_a_busy_machine_are_not_told() -> None:
    standstill = Standstill(now=Clock())
    standstill.ticked(2.9)
    assert told(standstill) == 0.0
    standstill.ticked(3.0)
    assert told(standstill) == 3.0


def test_a_pause_that_could_not_be_told_is_kept_until_it_was() -> None:
    clock = Clock()
    standstill = Standstill(now=clock)
    standstill.ticked(29.0)
    told_in_vain(standstill)
    standstill.ticked(4.0)
    clock.now += 3600.0
    told_in_vain(standstill)
    assert told(standstill) == 29.0


def test_what_is_noticed_while_another_is_told_is_the_next_one_s() -> None:
    standstill = Standstill(now=Clock())
    standstill.ticked(29.0)
    with standstill.telling() as seconds:
        standstill.ticked(20.0)
    assert (seconds, told(standstill)) == (29.0, 20.0)


def test_it_is_told_again_for_two_minutes_since_only_the_last_heartbeat_is_kept() -> None:
    clock = Clock()
    standstill = Standstill(now=clock)
    standstill.ticked(29.0)
    for _ in range(8):
        assert told(standstill) == 29.0
        clock.now += 15.0
    assert told(standstill) == 0.0


def test_a_retelling_that_failed_begins_no_two_minutes_of_its_own() -> None:
    before = Pauses().with_late(29.0)
    after = before.with_told(29.0, 10.0).with_told(29.0, 100.0)
    assert after.told_at == 10.0


async def test_the_loop_notices_that_it_was_held_up() -> None:
    looked = asyncio.Event()
    instants = iter([0.0, 26.0])

    def now() -> float:
        instant = next(instants, 26.0)
        if instant:
            looked.set()
        return instant

    standstill = Standstill(now=now)
    running = asyncio.create_task(standstill.run())
    await looked.wait()
    await asyncio.sleep(0)
    assert told(standstill) == 25.0
    running.cancel()

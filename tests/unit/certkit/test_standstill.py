import asyncio

import pytest

from certcore.errors import TransientError
from certkit.background import end_tasks
from certkit.standstill import Pauses, Standstill, late_by


class Life:
    """A process whose clock is moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.standstill = Standstill(now=lambda: self.now)
        self.standstill.begin()

    def goes_on(self, seconds: float) -> None:
        """Time passes in steps of the loop's."""
        self.told_in_vain()
        for _ in range(round(seconds)):
            self.now += 1.0
            self.told_in_vain()

    def stands_still(self, late_s: float) -> None:
        self.now += 1.0 + late_s

    def told(self) -> float:
        with self.standstill.telling() as seconds:
            return seconds

    def told_in_vain(self) -> None:
        with pytest.raises(TransientError), self.standstill.telling():
            raise TransientError("the bus is away")


def test_a_look_is_late_by_what_it_took_longer_than_a_tick() -> None:
    assert late_by(10.0, 11.0, tick_s=1.0) == 0.0
    assert late_by(10.0, 40.5, tick_s=1.0) == 29.5
    # A timer may be a little early, and who tells looks in between.
    assert late_by(10.0, 10.2, tick_s=1.0) == 0.0


def test_the_longest_pause_since_the_one_that_was_told_is_told() -> None:
    life = Life()
    assert life.told() == 0.0
    for late_s in (4.0, 29.0, 12.0):
        life.stands_still(late_s)
        life.goes_on(2)
    assert life.told() == 29.0
    life.stands_still(12.0)
    assert life.told() == 12.0


def test_the_hiccups_of_a_busy_machine_are_not_told() -> None:
    life = Life()
    life.stands_still(2.9)
    assert life.told() == 0.0
    life.stands_still(3.0)
    assert life.told() == 3.0


def test_a_pause_that_could_not_be_told_is_kept_until_it_was() -> None:
    life = Life()
    life.stands_still(29.0)
    life.told_in_vain()
    life.stands_still(4.0)
    life.goes_on(600)
    life.told_in_vain()
    assert life.told() == 29.0


def test_what_is_noticed_while_another_is_told_is_the_next_one_s() -> None:
    life = Life()
    life.stands_still(29.0)
    with life.standstill.telling() as seconds:
        life.stands_still(20.0)
    assert (seconds, life.told()) == (29.0, 20.0)


def test_it_is_told_again_for_two_minutes_since_only_the_last_heartbeat_is_kept() -> None:
    life = Life()
    life.stands_still(29.0)
    for _ in range(8):
        assert life.told() == 29.0
        life.goes_on(15)
    assert life.told() == 0.0


def test_a_retelling_begins_no_two_minutes_of_its_own() -> None:
    assert Pauses().with_late(29.0).with_told(29.0, 10.0).with_told(29.0, 100.0).told_at == 10.0


async def test_the_loop_notices_that_it_was_held_up_and_time_without_it_is_no_pause() -> None:
    looked, instants = asyncio.Event(), iter([0.0, 26.0])

    def now() -> float:
        instant = next(instants, 3600.0)
        if instant:
            looked.set()
        return instant

    standstill = Standstill(now=now)
    running = asyncio.create_task(standstill.run())
    await looked.wait()
    await end_tasks([running])
    with standstill.telling() as seconds:
        assert seconds == 25.0

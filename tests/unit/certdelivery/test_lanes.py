import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from opentelemetry.context import Context

from certcore.errors import TransientError
from certdelivery.lanes import Again, Lanes, Try, Work
from certdelivery.model import Destination
from certdelivery.placements import placements_of
from certdelivery.records import Job, Record
from tests.issuing import SITE, Authority, order_for, target
from tests.patience import HANG_S
from tests.unit.certdelivery.shelf import ShelfDriver

BLUE, GREEN = Destination("shelf", "blue"), Destination("shelf", "green")
ISSUED = Authority().issue()
NOW = Again(timedelta(0))
LATER = Again(timedelta(hours=1))
KEY = ("crt-0001", "web")


def _job(generation: int, destination: Destination = BLUE, *, certificate_id: str = "crt-0001") -> Job:
    order = order_for(ISSUED, generation, [target("shelf", "web")], certificate_id=certificate_id)
    (placement,) = placements_of(
        order, place=SITE, drivers={"shelf": ShelfDriver()}, configured={"shelf": [destination.name]}
    )
    return Job(Record.of(placement), destination, Context())


class Workshop:
    """Notes what is done, and does it as long and as well as it is reported."""

    def __init__(self) -> None:
        self.done: list[tuple[str, int]] = []
        self.failures: list[int] = []
        self.probes = 0
        self.told: list[tuple[str, bool]] = []
        self.waits: list[Again | None] = []
        self.closed: set[Destination] = set()
        self.released = asyncio.Event()

    def out_of_reach(self, destination: Destination, out: bool) -> None:  # noqa: FBT001 # the form that lanes ask for
        self.told.append((destination.name, out))

    async def work(self, job: Job, attempt: Try) -> Again | None:
        self.probes += attempt.probe
        self.done.append((job.destination.name, job.placement.generation))
        self.failures.append(attempt.failures)
        if job.destination in self.closed:
            await self.released.wait()
        return self.waits.pop(0) if self.waits else None


def _made(
    work: Work, out_of_reach: Callable[[Destination, bool], None] = lambda _, __: None, *, at_once: int = 8
) -> Lanes:
    return Lanes(work=work, at_once=lambda _: at_once, jitter=lambda: 0.0, out_of_reach=out_of_reach)


@asynccontextmanager
async def _lanes(workshop: Workshop, *, opened: bool = True) -> AsyncIterator[Lanes]:
    lanes = _made(workshop.work, workshop.out_of_reach)
    if opened:
        lanes.open()
    try:
        yield lanes
    finally:
        workshop.released.set()
        await lanes.close()


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(HANG_S):
        while not condition():  # noqa: ASYNC110 # what is waited for has no event
            await asyncio.sleep(0.005)


async def _settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_of_what_is_gathered_before_the_start_only_the_newest_is_done() -> None:
    workshop = Workshop()
    async with _lanes(workshop, opened=False) as lanes:
        for generation in (1, 2, 3):
            lanes.offer(_job(generation), urgent=True)
            await _settled()
        assert workshop.done == []
        lanes.open()
        await _until(lambda: bool(workshop.done))
    assert workshop.done == [("blue", 3)]


async def test_what_comes_while_a_lane_is_busy_is_done_next_and_only_its_newest() -> None:
    workshop = Workshop()
    workshop.closed = {BLUE}
    async with _lanes(workshop) as lanes:
        lanes.offer(_job(1), urgent=True)
        await _until(lambda: bool(workshop.done))
        lanes.offer(_job(2), urgent=True)
        lanes.offer(_job(3), urgent=True)
        workshop.released.set()
        await _until(lambda: len(workshop.done) == 2)
        await _settled()
    assert workshop.done == [("blue", 1), ("blue", 3)]


async def test_a_destination_that_hangs_holds_up_no_other() -> None:
    workshop = Workshop()
    workshop.closed = {BLUE}
    async with _lanes(workshop) as lanes:
        for number in range(30):
            lanes.offer(_job(1, BLUE, certificate_id=f"crt-{number}"), urgent=True)
        for number in range(30):
            lanes.offer(_job(1, GREEN, certificate_id=f"crt-{number}"), urgent=True)
        await _until(lambda: workshop.done.count(("green", 1)) == 30)
        assert workshop.done.count(("blue", 1)) == 8


async def test_failed_work_is_tried_again_with_the_number_of_its_failures() -> None:
    workshop = Workshop()
    workshop.waits = [NOW, NOW]
    async with _lanes(workshop) as lanes:
        lanes.offer(_job(1), urgent=True)
        await _until(lambda: len(workshop.done) == 3)
        await _settled()
    assert workshop.failures == [0, 1, 2]


async def test_a_waiting_lane_is_woken_by_news_and_not_by_the_same_order_again() -> None:
    workshop = Workshop()
    workshop.waits = [LATER, None]
    async with _lanes(workshop) as lanes:
        lanes.offer(_job(1), urgent=True)
        await _until(lambda: len(workshop.done) == 1)
        lanes.offer(_job(1), urgent=False)
        await _settled()
        assert len(workshop.done) == 1
        lanes.offer(_job(2), urgent=True)
        await _until(lambda: len(workshop.done) == 2)
    assert workshop.done[-1] == ("blue", 2)
    assert workshop.failures == [0, 0]


async def test_a_lane_that_leads_nowhere_any_more_is_given_up() -> None:
    workshop = Workshop()
    workshop.waits = [NOW] * 1000
    async with _lanes(workshop) as lanes:
        lanes.offer(_job(1), urgent=True)
        await _until(lambda: len(workshop.done) > 2)
        lanes.keep(KEY, ())
        await _settled()
        count = len(workshop.done)
        await _settled()
        assert len(workshop.done) == count


async def test_a_fault_in_the_work_does_not_end_the_lane() -> None:
    calls = 0

    async def faulty(_: Job, __: Try) -> Again | None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise ZeroDivisionError
        return None

    lanes = _made(faulty)
    lanes.open()
    lanes.offer(_job(1), urgent=True)
    await _until(lambda: calls == 1)
    lanes.offer(_job(2), urgent=True)
    await _until(lambda: calls == 2)
    await lanes.close()


async def test_closing_finishes_what_was_begun_and_takes_nothing_more() -> None:
    finished: list[int] = []
    begun = asyncio.Event()

    async def slow(job: Job, _: Try) -> Again | None:
        begun.set()
        await asyncio.sleep(0.1)
        finished.append(job.placement.generation)
        return LATER

    lanes = _made(slow)
    lanes.open()
    lanes.offer(_job(1), urgent=True)
    await begun.wait()
    await lanes.close()
    assert finished == [1]
    with pytest.raises(TransientError):
        lanes.offer(_job(2), urgent=True)


async def test_a_look_at_slow_work_is_no_failure() -> None:
    workshop = Workshop()
    workshop.waits = [Again(timedelta(0), failed=False), NOW]
    async with _lanes(workshop) as lanes:
        lanes.offer(_job(1), urgent=True)
        await _until(lambda: len(workshop.done) == 3)
    assert workshop.failures == [0, 0, 1]


async def test_a_lane_that_is_wanted_again_while_it_ends_is_never_two() -> None:
    workshop = Workshop()
    workshop.closed = {BLUE}
    async with _lanes(workshop) as lanes:
        lanes.offer(_job(1), urgent=True)
        await _until(lambda: bool(workshop.done))
        lanes.keep(KEY, ())
        lanes.offer(_job(2), urgent=False)
        await _settled()
        assert workshop.done == [("blue", 1)]
        workshop.released.set()
        await _until(lambda: len(workshop.done) == 2)
    assert workshop.done == [("blue", 1), ("blue", 2)]


async def test_one_at_a_time_where_the_driver_asks_for_it() -> None:
    workshop = Workshop()
    workshop.closed = {BLUE}
    lanes = _made(workshop.work, at_once=1)
    lanes.open()
    for number in range(5):
        lanes.offer(_job(1, certificate_id=f"crt-{number}"), urgent=True)
    await _settled()
    assert len(workshop.done) == 1
    workshop.released.set()
    await _until(lambda: len(workshop.done) == 5)
    await lanes.close()


AWAY = Again(timedelta(0), unreachable=True)


async def test_while_a_destination_is_out_one_of_its_lanes_tries_at_a_time_and_others_go_on() -> None:
    workshop = Workshop()
    workshop.waits = [AWAY] * 5
    lanes = _made(workshop.work, workshop.out_of_reach, at_once=1)
    lanes.open()
    for number in range(200):
        lanes.offer(_job(1, BLUE, certificate_id=f"crt-{number}"), urgent=True)
    await _until(lambda: len(workshop.done) == 205)
    await lanes.close()
    # Two found it out; of the others, three looked in vain, and one found it back.
    assert workshop.probes == 4
    assert workshop.told == [("blue", True), ("blue", False)]


async def test_a_destination_that_is_out_holds_up_no_other() -> None:
    workshop = Workshop()
    workshop.waits = [AWAY] * 8
    async with _lanes(workshop) as lanes:
        for number in range(8):
            lanes.offer(_job(1, BLUE, certificate_id=f"crt-{number}"), urgent=True)
        await _until(lambda: workshop.told == [("blue", True)])
        workshop.waits = []
        for number in range(30):
            lanes.offer(_job(1, GREEN, certificate_id=f"crt-{number}"), urgent=True)
        await _until(lambda: workshop.done.count(("green", 1)) == 30)
        await _until(lambda: workshop.told == [("blue", True), ("blue", False)])


async def test_one_lane_that_misses_again_and_again_puts_no_destination_out() -> None:
    workshop = Workshop()
    workshop.waits = [AWAY] * 5
    async with _lanes(workshop) as lanes:
        lanes.offer(_job(1), urgent=True)
        await _until(lambda: len(workshop.done) == 6)
    assert (workshop.told, workshop.probes) == ([], 0)


async def test_a_lane_that_ends_while_it_waits_for_its_destination_keeps_nobody_waiting() -> None:
    workshop = Workshop()
    workshop.waits = [AWAY, AWAY]
    lanes = _made(workshop.work, workshop.out_of_reach, at_once=1)
    lanes.open()
    for number in range(6):
        lanes.offer(_job(1, certificate_id=f"crt-{number}"), urgent=True)
    await _until(lambda: workshop.told == [("blue", True)])
    for number in range(2, 5):
        lanes.keep((f"crt-{number}", "web"), ())
    await _until(lambda: workshop.told == [("blue", True), ("blue", False)])
    await _until(lambda: len(workshop.done) == 5)
    await lanes.close()

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest_asyncio
from structlog.testing import capture_logs

from certcore.errors import TransientError
from certkit.background import Background, end_tasks


@pytest_asyncio.fixture
async def background() -> AsyncIterator[Background]:
    made = Background()
    yield made
    await made.stop()


class Rounds:
    """Fails as it is told, one after the other; then it does well. `wait` returns after so many rounds."""

    def __init__(self, *failures: Exception | None) -> None:
        self._failures = list(failures)
        self.begun = 0
        self._changed = asyncio.Condition()

    async def __call__(self) -> None:
        async with self._changed:
            self.begun += 1
            self._changed.notify_all()
        failure = self._failures.pop(0) if self._failures else None
        if failure is not None:
            raise failure

    async def wait(self, count: int) -> None:
        async with asyncio.timeout(10), self._changed:
            await self._changed.wait_for(lambda: self.begun >= count)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 # a task that ends has no event of ours
            await asyncio.sleep(0)


async def forever() -> None:
    await asyncio.Event().wait()


async def test_rounds_go_on_after_failures_foreseen_and_not(background: Background) -> None:
    rounds = Rounds(TransientError("the bus is away"), KeyError("a fault of ours"), None)
    background.add_round("sweep", 0.0, rounds)
    with capture_logs() as logs:
        await background.start()
        await rounds.wait(4)
    assert background.ended == ()
    told = [(entry["event"], entry["log_level"], entry["round"]) for entry in logs]
    assert told == [("round_failed", "warning", "sweep"), ("round_broke", "error", "sweep")]
    assert not any("exc_info" in entry for entry in logs)


async def test_a_round_that_failed_is_tried_again_before_its_time(background: Background) -> None:
    rounds = Rounds(TransientError("the bus is away"))
    background.add_round("sweep", 3600.0, rounds)
    await background.start()
    await rounds.wait(2)


async def test_whatever_ends_by_itself_is_named(background: Background) -> None:
    async def breaks() -> None:
        raise KeyError("a fault of ours")

    async def ends() -> None:
        return

    background.add("relay", breaks)
    background.add("reader", ends)
    background.add("listener", forever)
    await background.start()
    await until(lambda: len(background.ended) == 2)
    assert background.ended == ("relay", "reader")


async def test_why_a_task_broke_off_is_logged_without_its_variables(background: Background) -> None:
    async def breaks() -> None:
        raise KeyError("a fault of ours")

    background.add("relay", breaks)
    with capture_logs() as logs:
        await background.start()
        await until(lambda: background.ended == ("relay",))
    [entry] = logs
    assert (entry["event"], entry["log_level"], entry["task"]) == ("background_ended", "error", "relay")
    assert "a fault of ours" in entry["error"]
    assert "exc_info" not in entry


async def test_nothing_has_ended_before_it_started() -> None:
    background = Background()
    background.add("listener", forever)
    assert background.ended == ()
    await background.stop()


async def test_a_stop_cancels_what_runs_and_waits_for_its_end(background: Background) -> None:
    told: list[str] = []

    async def tidy() -> None:
        try:
            await forever()
        finally:
            await asyncio.sleep(0)
            told.append("tidied")

    background.add("reader", tidy)
    await background.start()
    await asyncio.sleep(0)
    await background.stop()
    assert told == ["tidied"]


async def test_a_task_that_lost_a_cancellation_is_cancelled_again() -> None:
    lost: list[str] = []

    async def publish() -> None:
        while True:
            try:
                await forever()
            except asyncio.CancelledError:
                if lost:
                    raise
                lost.append("as if the answer had come at the same moment")

    tasks = [asyncio.create_task(publish()), asyncio.create_task(forever())]
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await end_tasks(tasks, again_s=0.01)
    assert all(task.cancelled() for task in tasks)
    assert len(lost) == 1


async def test_a_task_that_was_asked_to_end_is_waited_for_as_long_as_it_may_take(background: Background) -> None:
    asked = asyncio.Event()

    async def until_asked() -> None:
        await asked.wait()

    background.add("reader", until_asked)
    background.add("stubborn", forever)
    await background.start()
    asked.set()
    await background.drain("reader", within_s=10)
    assert background.ended == ("reader",)
    await background.drain("stubborn", within_s=0.0)
    await background.drain("unknown", within_s=10)
    assert background.ended == ("reader",)

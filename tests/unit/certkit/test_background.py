import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta

import pytest_asyncio
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from certcore.errors import TransientError
from certkit.background import Background, end_tasks
from certkit.readiness import Finding
from certkit.restarts import RestartLimits

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
AT_ONCE = RestartLimits(first_pause=timedelta(0), longest_pause=timedelta(0), max_failures=4)


def made(metrics: CollectorRegistry | None = None, limits: RestartLimits = AT_ONCE) -> Background:
    return Background(service="test", metrics=metrics or CollectorRegistry(), clock=lambda: NOON, limits=limits)


@pytest_asyncio.fixture
async def metrics() -> CollectorRegistry:
    return CollectorRegistry()


@pytest_asyncio.fixture
async def background(metrics: CollectorRegistry) -> AsyncIterator[Background]:
    background = made(metrics)
    yield background
    await background.stop()


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


class Loop(Rounds):
    """As rounds, but it runs on where it doesn't fail."""

    async def __call__(self) -> None:
        await super().__call__()
        await forever()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 # a task that ends has no event of ours
            await asyncio.sleep(0)


async def forever() -> None:
    await asyncio.Event().wait()


def problems(background: Background) -> dict[str, str]:
    return {finding.check: finding.problem for finding in background.findings() if finding.problem is not None}


def task(name: str) -> asyncio.Task[object]:
    return next(running for running in asyncio.all_tasks() if running.get_name() == name)


async def test_rounds_go_on_after_failures_foreseen_and_not(
    background: Background, metrics: CollectorRegistry
) -> None:
    rounds = Rounds(TransientError("the bus is away"), KeyError("a fault of ours"), None)
    background.add_round("sweep", 0.0, rounds)
    with capture_logs() as logs:
        await background.start()
        await rounds.wait(4)
    assert background.findings() == [Finding(check="task sweep")]
    told = [(entry["event"], entry["log_level"], entry["round"]) for entry in logs]
    assert told == [("round_failed", "warning", "sweep"), ("round_broke", "error", "sweep")]
    assert not any("exc_info" in entry for entry in logs)
    labels = {"service": "test", "task": "sweep"}
    assert metrics.get_sample_value("certbus_round_failures_total", labels) == 2
    assert metrics.get_sample_value("certbus_task_restarts_total", labels) == 0


async def test_a_round_that_failed_is_tried_again_before_its_time(background: Background) -> None:
    rounds = Rounds(TransientError("the bus is away"))
    background.add_round("sweep", 3600.0, rounds)
    await background.start()
    await rounds.wait(2)


async def test_rounds_that_fail_repeatedly_are_named_until_one_does_well(background: Background) -> None:
    may = asyncio.Event()
    failures = 0

    async def sweep() -> None:
        nonlocal failures
        failures += 1
        if failures == 4:
            await may.wait()
        elif failures < 4:
            raise TransientError("the registry is away")

    background.add_round("sweep", 0.0, sweep)
    await background.start()
    await until(lambda: failures == 4)
    [finding] = background.findings()
    assert finding.problem == "failed 3 times in a row, at last: TransientError: the registry is away"
    assert finding.since == NOON
    may.set()
    await until(lambda: background.findings() == [Finding(check="task sweep")])


async def test_a_loop_that_ends_is_named_and_begun_again(background: Background, metrics: CollectorRegistry) -> None:
    loop = Loop(KeyError("a fault of ours"), TransientError("the bus is away"))
    background.add("relay", loop)
    named: list[str] = []
    with capture_logs() as logs:
        await background.start()
        while loop.begun < 3:
            await asyncio.sleep(0)
            named += problems(background).values()
    assert any("is down and will be started again: KeyError" in problem for problem in named)
    assert problems(background) == {}
    assert metrics.get_sample_value("certbus_task_restarts_total", {"service": "test", "task": "relay"}) == 2
    assert [(entry["event"], entry["log_level"], entry["ending"]) for entry in logs] == [
        ("background_ended", "error", "unforeseen"),
        ("background_ended", "error", "transient"),
    ]
    assert "a fault of ours" in logs[0]["error"]
    assert not any("exc_info" in entry for entry in logs)


async def test_a_loop_that_returns_by_itself_is_begun_again(background: Background) -> None:
    rounds = Rounds()
    background.add("reader", rounds)
    await background.start()
    await rounds.wait(2)


async def test_a_task_that_somebody_else_cancelled_comes_back(background: Background) -> None:
    loop, rounds = Loop(), Rounds()
    background.add("relay", loop)
    background.add_round("sweep", 3600.0, rounds)
    await background.start()
    for count in range(1, 6):
        await loop.wait(count)
        await rounds.wait(count)
        task("relay").cancel()
        task("sweep").cancel()
    await loop.wait(6)
    await rounds.wait(6)
    assert background.gave_up is None


async def test_a_loop_that_fails_repeatedly_is_named_though_it_runs(background: Background) -> None:
    loop = Loop(*[TransientError("the bus is away")] * 3)
    background.add("relay", loop)
    await background.start()
    await loop.wait(4)
    assert problems(background) == {
        "task relay": "failed 3 times in a row, at last: TransientError: the bus is away",
    }


async def test_what_ran_long_enough_counts_anew() -> None:
    background = made(limits=RestartLimits(timedelta(0), timedelta(0), settled=timedelta(0), max_failures=2))
    loop = Loop(*[KeyError("a fault of ours")] * 10)
    background.add("relay", loop)
    await background.start()
    await loop.wait(11)
    assert problems(background) == {}
    assert background.gave_up is None
    await background.stop()


async def test_too_many_faults_in_a_row_give_the_process_up(background: Background) -> None:
    background.add("relay", Loop(*[KeyError("a fault of ours")] * 10))
    with capture_logs() as logs:
        await background.start()
        await until(lambda: background.gave_up is not None)
    assert background.gave_up == "task relay: KeyError: 'a fault of ours'"
    assert problems(background) == {"task relay": "is down and can't be started again: KeyError: 'a fault of ours'"}
    last = logs[-1]
    assert (last["event"], last["why"], last["failures"]) == ("background_given_up", "too_many_failures", 4)


async def test_the_end_of_a_vital_task_gives_the_process_up(background: Background) -> None:
    loop = Loop(TransientError("the disk is full"))
    background.add("writer", loop, vital=True)
    await background.start()
    await until(lambda: background.gave_up is not None)
    assert loop.begun == 1


async def test_nothing_has_ended_before_it_started() -> None:
    background = made()
    background.add("listener", forever)
    assert background.findings() == [Finding(check="task listener")]
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


async def test_what_ends_while_the_service_leaves_is_not_begun_again(background: Background) -> None:
    asked = asyncio.Event()

    async def until_asked() -> None:
        await asked.wait()

    rounds = Rounds()
    background.add("reader", until_asked)
    background.add("relay", Loop(KeyError("a fault of ours")))
    background.add_round("sweep", 0.0, rounds)
    with capture_logs() as logs:
        await background.start()
        await rounds.wait(1)
        background.leave()
        asked.set()
        await rounds.wait(rounds.begun + 5)
        assert {running.get_name() for running in asyncio.all_tasks()} & {"reader", "relay"} == set()
    assert problems(background) == {}
    assert [entry["task"] for entry in logs] == ["relay"]


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
    asked, begun = asyncio.Event(), 0

    async def until_asked() -> None:
        nonlocal begun
        begun += 1
        await asked.wait()

    background.add("reader", until_asked)
    background.add("stubborn", forever)
    await background.start()
    asked.set()
    await background.drain("reader", within_s=10)
    await background.drain("stubborn", within_s=0.0)
    await background.drain("unknown", within_s=10)
    assert begun == 1
    assert problems(background) == {}
    assert not task("stubborn").done()


async def test_a_round_that_does_not_return_is_named_until_it_does(background: Background) -> None:
    may = asyncio.Event()

    async def wait() -> None:
        await may.wait()

    background.add_round("hung", 3600.0, wait, longest_s=0.0)
    background.add_round("slow", 3600.0, wait)
    await background.start()
    await until(lambda: bool(problems(background)))
    assert problems(background) == {"task hung": "its round has not returned for 0 s"}
    may.set()
    await until(lambda: not problems(background))

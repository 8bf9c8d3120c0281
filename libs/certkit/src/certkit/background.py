"""Work that goes on as long as the service: loops, and rounds that start again and again."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog
from prometheus_client import CollectorRegistry

from certcore.clock import Clock
from certcore.errors import CertbusError
from certkit import metric_names
from certkit.failure_policy import describe
from certkit.metric_names import counter
from certkit.readiness import Finding
from certkit.restarts import GiveUp, RestartLimits, decide, ending_of, round_pause

__all__ = ["Background", "end_tasks"]

log = structlog.get_logger()

Work = Callable[[], Awaitable[None]]

_AGAIN_S: Final = 3.0
_LIMITS: Final = RestartLimits()
_LONGEST_S: Final = 600.0
_REPEATEDLY: Final = 3
"""So many failures in a row are told by readiness; one or two may be a broker that restarts."""


@dataclass
class _Kept:
    """A task, and what is known of its failures."""

    name: str
    work: Work
    vital: bool = False
    rounds: bool = False
    runs: asyncio.Task[None] | None = None
    again: asyncio.TimerHandle | None = None
    begun: float = 0.0
    failures: int = 0
    """In a row: of a loop its endings, of rounds those that failed."""
    error: str = ""
    since: datetime | None = None
    left: bool = False
    longest_s: float = _LONGEST_S
    round_begun: float | None = None
    """Of rounds, when the one began that is under way."""


class Background:
    """Named tasks of one service, added before `start`. What ends before `leave`, `drain` or `stop` is started again,
    see `certkit.restarts`; where that is no use, `gave_up` says so, and whoever runs the process ends it.
    """

    def __init__(
        self,
        *,
        service: str,
        metrics: CollectorRegistry,
        clock: Clock,
        limits: RestartLimits = _LIMITS,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """`service` is a label of the metrics."""
        self._service = service
        self._clock = clock
        self._limits = limits
        self._jitter = jitter
        self._tasks: dict[str, _Kept] = {}
        self._leaving = False
        self._gave_up: str | None = None
        self._restarts = counter(metric_names.TASK_RESTARTS, metrics)
        self._failures = counter(metric_names.ROUND_FAILURES, metrics)

    def add(self, name: str, work: Work, *, vital: bool = False) -> None:
        """A loop that runs until it is cancelled. A `vital` one can't be begun again: its end is the process's."""
        self._tasks[name] = _Kept(name, work, vital=vital)
        self._restarts.labels(self._service, name)

    def add_round(self, name: str, every_s: float, work: Work, *, longest_s: float = _LONGEST_S) -> None:
        """Work that starts every so many seconds. What takes longer delays the next start; what fails is tried again
        sooner, after about a second at first: services that failed together don't come back together.

        A round that takes longer than `longest_s` is told by readiness: it may never return.
        """
        self._tasks[name] = kept = _Kept(
            name, lambda: self._repeat(kept, every_s, work), rounds=True, longest_s=longest_s
        )
        self._restarts.labels(self._service, name)
        self._failures.labels(self._service, name)

    @property
    def gave_up(self) -> str | None:
        """Why the process must be started anew; None as long as it needn't be."""
        return self._gave_up

    def findings(self) -> list[Finding]:
        """A check of `certkit.readiness`: each task, and what is wrong where it is down or fails repeatedly."""
        return [self._finding(kept) for kept in self._tasks.values()]

    async def start(self) -> None:
        for kept in self._tasks.values():
            self._begin(kept)

    def leave(self) -> None:
        """From now on nothing is started again: what ends was asked to."""
        self._leaving = True
        for kept in self._tasks.values():
            _forget_restart(kept)

    async def stop(self) -> None:
        self.leave()
        await end_tasks(kept.runs for kept in self._tasks.values() if kept.runs is not None)

    async def drain(self, name: str, *, within_s: float) -> None:
        """Wait for a task that was asked to end by other means; `stop` cancels it if it takes longer."""
        kept = self._tasks.get(name)
        if kept is None or kept.runs is None:
            return
        kept.left = True
        _forget_restart(kept)
        await asyncio.wait([kept.runs], timeout=within_s)

    def _begin(self, kept: _Kept) -> None:
        kept.again = None
        kept.begun = asyncio.get_running_loop().time()
        kept.runs = asyncio.create_task(_run(kept.work), name=kept.name)
        # Not another task that awaits it: whoever cancels all of them would cancel that, too.
        kept.runs.add_done_callback(lambda ended: self._ended(kept, ended))

    def _ended(self, kept: _Kept, runs: asyncio.Task[None]) -> None:
        cancelled = runs.cancelled()
        error = None if cancelled else runs.exception()
        if self._leaving or kept.left:
            if error is not None:
                log.warning("background_ended_late", task=kept.name, error=describe(error))
            return
        loop = asyncio.get_running_loop()
        ending = ending_of(error, cancelled=cancelled)
        if loop.time() - kept.begun >= self._limits.settled.total_seconds():
            kept.failures = 0
        self._failed(kept, error=describe(error) if error is not None else str(ending))
        decision = decide(ending, failures=kept.failures, vital=kept.vital, limits=self._limits)
        # Without a traceback: its local variables may hold a key.
        fields = {"task": kept.name, "ending": str(ending), "error": kept.error, "failures": kept.failures}
        if isinstance(decision, GiveUp):
            self._gave_up = f"task {kept.name}: {kept.error}"
            log.error("background_given_up", why=str(decision.why), **fields)
            return
        delay_s = decision.delay.total_seconds()
        log.error("background_ended", restart_in_s=delay_s, **fields)
        self._restarts.labels(self._service, kept.name).inc()
        kept.again = loop.call_later(delay_s, self._begin, kept)

    def _failed(self, kept: _Kept, *, error: str) -> None:
        kept.since = kept.since if kept.failures and kept.since is not None else self._clock()
        kept.failures += 1
        kept.error = error

    def _finding(self, kept: _Kept) -> Finding:
        check = f"task {kept.name}"
        if not self._leaving and not kept.left and kept.runs is not None and kept.runs.done():
            until = "will be started again" if kept.again is not None else "can't be started again"
            return Finding(check=check, problem=f"is down and {until}: {kept.error}", since=kept.since)
        if kept.failures >= _REPEATEDLY and not self._settled(kept):
            problem = f"failed {kept.failures} times in a row, at last: {kept.error}"
            return Finding(check=check, problem=problem, since=kept.since)
        if kept.round_begun is not None:
            took_s = asyncio.get_running_loop().time() - kept.round_begun
            if took_s > kept.longest_s:
                return Finding(check=check, problem=f"its round has not returned for {took_s:.0f} s")
        return Finding(check=check)

    def _settled(self, kept: _Kept) -> bool:
        """Rounds settle by one that does well, a loop by running on."""
        if kept.rounds or kept.runs is None:
            return False
        return asyncio.get_running_loop().time() - kept.begun >= self._limits.settled.total_seconds()

    async def _repeat(self, kept: _Kept, every_s: float, work: Work) -> None:
        loop = asyncio.get_running_loop()
        while True:
            began = kept.round_begun = loop.time()
            try:
                await work()
            except CertbusError as error:
                self._round_failed(kept, error)
                log.warning("round_failed", round=kept.name, error=describe(error))
            except Exception as error:  # noqa: BLE001 # a fault in one round must not end all rounds that follow
                self._round_failed(kept, error)
                # Without a traceback: its local variables may hold a key.
                log.error("round_broke", round=kept.name, error=describe(error))  # noqa: TRY400 # see above
            else:
                kept.failures, kept.since = 0, None
            kept.round_begun = None
            took_s = loop.time() - began
            await asyncio.sleep(
                round_pause(every_s=every_s, took_s=took_s, failures=kept.failures, jitter=self._jitter())
            )

    def _round_failed(self, kept: _Kept, error: Exception) -> None:
        self._failed(kept, error=describe(error))
        self._failures.labels(self._service, kept.name).inc()


async def end_tasks(tasks: Iterable[asyncio.Task[None]], *, again_s: float = _AGAIN_S) -> None:
    """Cancel tasks, and wait for their ends. What goes on after `again_s` seconds is cancelled again: before Python
    3.12 `asyncio.wait_for` loses a cancellation that comes together with its result.
    """
    every = tuple(tasks)
    left = set(every)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=again_s)
    await asyncio.gather(*every, return_exceptions=True)


def _forget_restart(kept: _Kept) -> None:
    if kept.again is not None:
        kept.again.cancel()
        kept.again = None


async def _run(work: Work) -> None:
    await work()

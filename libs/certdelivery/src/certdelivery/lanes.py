"""Work in lanes: one job at a time in each, the newest only, tried again until it is done.

A lane is one target of a certificate at one destination. Each destination has its own slots, so one that hangs delays
only its own lanes; and while it is out of reach, of these only one tries at a time.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Final

import structlog

from certcore.errors import TransientError
from certdelivery.model import Destination
from certdelivery.placements import Key
from certdelivery.reach import Reach
from certdelivery.records import Job, LaneKey
from certkit.background import end_tasks
from certkit.failure_policy import describe

__all__ = ["Again", "Lanes", "Try", "Work"]

log = structlog.get_logger()


@dataclass(frozen=True)
class Again:
    """Work that is not done: when to try again, whether it failed or is only slow, and whether it failed because the
    destination can't be reached.
    """

    after: timedelta
    failed: bool = True
    unreachable: bool = False


@dataclass(frozen=True)
class Try:
    """How many times in a row the job failed before, and whether its destination was out of reach until now."""

    failures: int
    probe: bool = False


Work = Callable[[Job, Try], Awaitable[Again | None]]
"""Does a job; None where it is done."""

_AFTER_A_FAULT: Final = Again(timedelta(seconds=30))


@dataclass(eq=False)
class _Lane:
    job: Job
    failures: int = 0
    busy: bool = False
    given_up: bool = False
    news: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class Lanes:
    """No work starts before `open`; of the jobs offered until then, each lane keeps the newest."""

    def __init__(
        self,
        *,
        work: Work,
        at_once: Callable[[Destination], int],
        jitter: Callable[[], float],
        out_of_reach: Callable[[Destination, bool], None],
    ) -> None:
        """`out_of_reach` is told when a destination can't be reached from then on, and when it is back."""
        self._work = work
        self._at_once = at_once
        self._jitter = jitter
        self._out_of_reach = out_of_reach
        self._reaches: dict[Destination, Reach] = {}
        self._lanes: dict[LaneKey, _Lane] = {}
        self._slots: dict[Destination, asyncio.Semaphore] = {}
        self._opened = asyncio.Event()
        self._closed = False

    def open(self) -> None:
        self._opened.set()

    def offer(self, job: Job, *, urgent: bool) -> None:
        """Queue a job; it replaces an older one of its lane.

        Only an urgent job ends the wait of a lane for its next try.

        Raises:
            TransientError: the lanes are closed.
        """
        if self._closed:
            raise TransientError("the service is shutting down")
        lane = self._lanes.get(job.key)
        if lane is None:
            lane = self._lanes[job.key] = _Lane(job)
            lane.task = asyncio.create_task(self._run(job.key, lane))
        lane.job = job
        if urgent or lane.given_up:
            lane.news.set()
        lane.given_up = False

    def keep(self, placement: Key, keys: Collection[LaneKey]) -> None:
        """End the placement's lanes that are not among these."""
        for key in [key for key in self._lanes if key[:2] == placement and key not in keys]:
            lane = self._lanes[key]
            if lane.busy:
                # A write that has begun is finished: the lane ends after it.
                lane.given_up = True
                continue
            del self._lanes[key]
            if lane.task is not None:
                lane.task.cancel()

    async def close(self, *, grace_s: float = 15.0) -> None:
        """Accept nothing more, and wait for the work that has begun."""
        self._closed = True
        tasks = [lane.task for lane in self._lanes.values() if lane.task is not None]
        for lane in self._lanes.values():
            if not lane.busy and lane.task is not None:
                lane.task.cancel()
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=grace_s)
        await end_tasks(late)
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, key: LaneKey, lane: _Lane) -> None:
        await self._opened.wait()
        while True:
            reach = self._reach_of(lane.job.destination)
            async with self._slots_of(lane.job.destination), reach.turn() as probe:
                lane.news.clear()
                again = await self._done(lane, Try(lane.failures, probe))
                if again is not None and again.unreachable:
                    reach.missed(key, probe=probe)
                elif again is not _AFTER_A_FAULT and lane.job.placement.asked is not None:
                    reach.reached()
            if self._closed:
                return
            if lane.given_up:
                del self._lanes[key]
                return
            if lane.news.is_set():
                lane.failures = 0
                continue
            if again is None:
                del self._lanes[key]
                return
            lane.failures = lane.failures + 1 if again.failed else 0
            with suppress(TimeoutError):
                async with asyncio.timeout(again.after.total_seconds()):
                    await lane.news.wait()
                    lane.failures = 0

    def _slots_of(self, destination: Destination) -> asyncio.Semaphore:
        if destination not in self._slots:
            self._slots[destination] = asyncio.Semaphore(self._at_once(destination))
        return self._slots[destination]

    def _reach_of(self, destination: Destination) -> Reach:
        if destination not in self._reaches:
            self._reaches[destination] = Reach(jitter=self._jitter, changed=partial(self._out_of_reach, destination))
        return self._reaches[destination]

    async def _done(self, lane: _Lane, attempt: Try) -> Again | None:
        lane.busy = True
        try:
            return await self._work(lane.job, attempt)
        except Exception as error:  # noqa: BLE001 # a fault in one delivery must not end its lane
            # Without a traceback: its local variables may hold a key.
            fields = {"certificate": lane.job.placement.name, "error": describe(error)}
            log.error("delivery_broke", **fields)  # noqa: TRY400 # see above
            return _AFTER_A_FAULT
        finally:
            lane.busy = False

"""Work in lanes: one job at a time in each, the newest only, tried again until it is done.

A lane is one target at one place. Each place has so many slots of its own, so that one that hangs holds up nothing
but what waits for it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import structlog

from certcore.errors import TransientError
from certkit.failure_policy import describe
from syncer.domain.placement import Place
from syncer.handlers.rollout import Job

__all__ = ["Lanes", "Work"]

log = structlog.get_logger()

Work = Callable[[Job, int], Awaitable[timedelta | None]]
"""Does a job that failed so many times in a row; tells how long to wait for the next try, None where it is done."""

_AT_ONCE: Final = 8
_AFTER_A_FAULT: Final = timedelta(seconds=30)

Key = tuple[str, str, Place]


@dataclass(eq=False)
class _Lane:
    job: Job
    failures: int = 0
    busy: bool = False
    news: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class Lanes:
    """Stand still until `open`: what is offered before is only gathered, and the newest of it counts."""

    def __init__(self, *, work: Work) -> None:
        self._work = work
        self._lanes: dict[Key, _Lane] = {}
        self._slots: dict[Place, asyncio.Semaphore] = {}
        self._opened = asyncio.Event()
        self._closed = False

    def open(self) -> None:
        self._opened.set()

    def offer(self, job: Job, *, urgent: bool) -> None:
        """Have a job done, instead of an older one of its lane.

        One that isn't urgent leaves a lane alone that waits for its next try.

        Raises:
            TransientError: the lanes are closed.
        """
        if self._closed:
            raise TransientError("the syncer is shutting down")
        lane = self._lanes.get(job.key)
        if lane is None:
            lane = self._lanes[job.key] = _Lane(job)
            lane.task = asyncio.create_task(self._run(job.key, lane))
        lane.job = job
        if urgent:
            lane.news.set()

    def keep(self, certificate_id: str, keys: Collection[Key]) -> None:
        """Give up the certificate's lanes that lead to none of these."""
        for key in [key for key in self._lanes if key[0] == certificate_id and key not in keys]:
            lane = self._lanes.pop(key)
            # A write that has begun is not torn: the lane ends after it.
            if not lane.busy and lane.task is not None:
                lane.task.cancel()

    async def close(self, *, grace_s: float = 5.0) -> None:
        """Take nothing more, and let what was begun come to its end."""
        self._closed = True
        tasks = [lane.task for lane in self._lanes.values() if lane.task is not None]
        for lane in self._lanes.values():
            if not lane.busy and lane.task is not None:
                lane.task.cancel()
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=grace_s)
        for task in late:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, key: Key, lane: _Lane) -> None:
        await self._opened.wait()
        while True:
            slots = self._slots.setdefault(lane.job.place, asyncio.Semaphore(_AT_ONCE))
            async with slots:
                lane.news.clear()
                wait = await self._done(lane)
            if self._closed or self._lanes.get(key) is not lane:
                return
            if lane.news.is_set():
                lane.failures = 0
                continue
            if wait is None:
                del self._lanes[key]
                return
            lane.failures += 1
            with suppress(TimeoutError):
                async with asyncio.timeout(wait.total_seconds()):
                    await lane.news.wait()
                    lane.failures = 0

    async def _done(self, lane: _Lane) -> timedelta | None:
        lane.busy = True
        try:
            return await self._work(lane.job, lane.failures)
        except Exception as error:  # noqa: BLE001 # a fault in one delivery must not end its lane for good
            # Without a traceback: its local variables may hold a key.
            fields = {"certificate": lane.job.order.name, "error": describe(error)}
            log.error("delivery_broke", **fields)  # noqa: TRY400 # see above
            return _AFTER_A_FAULT
        finally:
            lane.busy = False

"""What is done again and again, whatever became of the last time."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from certcore.backoff import delay_after
from certcore.errors import CertbusError
from certkit.failure_policy import describe

__all__ = ["Round", "Rounds"]

log = structlog.get_logger()


@dataclass(frozen=True)
class Round:
    """Starts every so many seconds; one that takes longer delays the next, one that fails is tried again sooner."""

    name: str
    every_s: float
    work: Callable[[], Awaitable[None]]


class Rounds:
    """Each round starts at once and goes on by itself."""

    def __init__(self, *rounds: Round) -> None:
        self._rounds = rounds
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        self._tasks = [asyncio.create_task(_repeat(each)) for each in self._rounds]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _repeat(each: Round) -> None:
    loop = asyncio.get_running_loop()
    failures = 0
    while True:
        began = loop.time()
        try:
            await each.work()
        except CertbusError as error:
            failures += 1
            log.warning("round_failed", round=each.name, error=str(error))
        except Exception as error:  # noqa: BLE001 # a fault in one round must not end all that follow
            failures += 1
            # Without a traceback: its local variables may hold a key.
            log.error("round_broke", round=each.name, error=describe(error))  # noqa: TRY400 # see above
        else:
            failures = 0
        wait = max(0.0, each.every_s - (loop.time() - began))
        if failures:
            # What was away may be back soon; a whole round is too long to find out.
            wait = min(wait, delay_after(failures, jitter=0.0).total_seconds())
        await asyncio.sleep(wait)

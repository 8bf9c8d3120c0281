"""Work that goes on as long as the service: loops, and rounds that start again and again."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Final

import structlog

from certcore.backoff import delay_after
from certcore.errors import CertbusError
from certkit.failure_policy import describe

__all__ = ["Background", "end_tasks"]

log = structlog.get_logger()

_AGAIN_S: Final = 3.0


class Background:
    """Named tasks of one service. Add them before `start`; `ended` names those that ended before `stop`."""

    def __init__(self) -> None:
        self._works: dict[str, Callable[[], Awaitable[None]]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def add(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """A loop that runs until it is cancelled."""
        self._works[name] = work

    def add_round(self, name: str, every_s: float, work: Callable[[], Awaitable[None]]) -> None:
        """Work that starts every so many seconds. What takes longer delays the next start; what fails is tried again
        sooner, after a second at first.
        """
        self._works[name] = lambda: _repeat(name, every_s, work)

    @property
    def ended(self) -> tuple[str, ...]:
        return tuple(name for name, task in self._tasks.items() if task.done())

    async def start(self) -> None:
        for name, work in self._works.items():
            self._tasks[name] = asyncio.create_task(_run(name, work), name=name)

    async def stop(self) -> None:
        await end_tasks(self._tasks.values())

    async def drain(self, name: str, *, within_s: float) -> None:
        """Wait for a task that was asked to end by other means; `stop` cancels it if it takes longer."""
        with suppress(KeyError):
            await asyncio.wait([self._tasks[name]], timeout=within_s)


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


async def _run(name: str, work: Callable[[], Awaitable[None]]) -> None:
    try:
        await work()
    except Exception as error:  # noqa: BLE001 # whatever ends a task is logged: `ended` shows only that it did
        # Without a traceback: its local variables may hold a key.
        log.error("background_ended", task=name, error=describe(error))  # noqa: TRY400 # see above


async def _repeat(name: str, every_s: float, work: Callable[[], Awaitable[None]]) -> None:
    loop = asyncio.get_running_loop()
    failures = 0
    while True:
        began = loop.time()
        try:
            await work()
        except CertbusError as error:
            failures += 1
            log.warning("round_failed", round=name, error=describe(error))
        except Exception as error:  # noqa: BLE001 # a fault in one round must not end all rounds that follow
            failures += 1
            # Without a traceback: its local variables may hold a key.
            log.error("round_broke", round=name, error=describe(error))  # noqa: TRY400 # see above
        else:
            failures = 0
        pause = every_s - (loop.time() - began)
        if failures:
            pause = min(pause, delay_after(failures, jitter=0.0).total_seconds())
        await asyncio.sleep(max(pause, 0.0))

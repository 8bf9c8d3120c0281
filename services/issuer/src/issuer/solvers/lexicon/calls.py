"""Blocking calls of others' code: each in a thread of its own, and none is waited for without end."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress

from issuer.domain.errors import SolverError

__all__ = ["Calls"]


class Calls:
    """One call at a time for each key.

    A thread can't be ended. One that hangs keeps its key, so that no other call meets what it still may do; the
    process doesn't wait for it at its end.
    """

    def __init__(self, *, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._turns: dict[str, asyncio.Lock] = {}

    async def run(self, key: str, call: Callable[[], bool]) -> None:
        """Raises SolverError where it fails, says that nothing was done, or takes too long."""
        turn = self._turns.setdefault(key, asyncio.Lock())
        try:
            async with asyncio.timeout(self._timeout_s):
                await turn.acquire()
        except TimeoutError:
            raise SolverError(f"a call before it hasn't ended in {self._timeout_s:g} s") from None
        ended = _begun(key, call)
        ended.add_done_callback(lambda _: turn.release())
        try:
            async with asyncio.timeout(self._timeout_s):
                problem = await asyncio.shield(ended)
        except TimeoutError:
            raise SolverError(f"takes longer than {self._timeout_s:g} s") from None
        if problem is not None:
            raise SolverError(problem)


def _begun(key: str, call: Callable[[], bool]) -> "asyncio.Future[str | None]":
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[str | None] = loop.create_future()

    def work() -> None:
        problem = _problem(call)
        # Where the loop has ended nobody waits.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(ended.set_result, problem)

    threading.Thread(target=work, name=f"solver {key}", daemon=True).start()
    return ended


def _problem(call: Callable[[], bool]) -> str | None:
    """Never the error's own words: some put keys into URLs, and URLs into what they say."""
    try:
        return None if call() else "it did nothing, and said no more"
    except Exception as error:  # noqa: BLE001 # providers raise whatever they like, also Exception itself
        status = getattr(getattr(error, "response", None), "status_code", None)
        return type(error).__name__ if status is None else f"{type(error).__name__}, HTTP {status}"

"""Whether a destination can be reached. While it can't, one job tries at a time, after a growing pause."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

from certcore.backoff import delay_after
from certdelivery.records import LaneKey

__all__ = ["LONGEST_PAUSE", "Reach"]

_FIRST_PAUSE: Final = timedelta(milliseconds=250)
LONGEST_PAUSE: Final = timedelta(seconds=4)
"""So everything that waits goes on within that time of the return."""

_IN_A_ROW: Final = 2
"""So many different lanes: one alone may be refused for a reason of its own."""


class Reach:
    """One destination. It is out after `_IN_A_ROW` lanes in a row missed it, until one reaches it."""

    def __init__(self, *, jitter: Callable[[], float], changed: Callable[[bool], None]) -> None:
        """`changed` is called with True when the destination is out from then on, with False when it is back."""
        self._jitter = jitter
        self._changed = changed
        self._missed_by: set[LaneKey] = set()
        self._probes = 0
        self._next = 0.0
        self._probing = asyncio.Lock()
        self._out = False

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[bool]:
        """Wait until a job may try; True where it is the one that finds out whether the destination is back."""
        while self.is_out():
            async with self._probing:
                # Who waited for the turn may find it back.
                if self.is_out():
                    await asyncio.sleep(self._next - asyncio.get_running_loop().time())
                if self.is_out():
                    yield True
                    return
        yield False

    def is_out(self) -> bool:
        return self._out

    def reached(self) -> None:
        self._missed_by.clear()
        if self._out:
            self._out = False
            self._changed(False)

    def missed(self, lane: LaneKey, *, probe: bool) -> None:
        """Only what began before the destination was out comes without being the probe: it changes nothing."""
        self._missed_by.add(lane)
        if self._out and not probe:
            return
        if not self._out:
            if len(self._missed_by) < _IN_A_ROW:
                return
            self._out, self._probes = True, 0
            self._changed(True)
        self._probes += 1
        pause = delay_after(self._probes, jitter=self._jitter(), first=_FIRST_PAUSE, longest=LONGEST_PAUSE)
        self._next = asyncio.get_running_loop().time() + pause.total_seconds()

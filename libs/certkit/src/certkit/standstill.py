"""How long the process stood still: it was stopped, its machine gave it no time, or one call held up its loop."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

__all__ = ["Pauses", "Standstill", "late_by"]

_TICK_S: Final = 1.0
_SHORTEST_S: Final = 3.0
"""Shorter ones aren't told: a busy machine has them all day."""
_RETOLD_S: Final = 120.0


def late_by(before: float, now: float, *, tick_s: float) -> float:
    """How many seconds a look came later than the next tick, the look before having come at `before`."""
    return max(0.0, now - before - tick_s)


@dataclass(frozen=True)
class Pauses:
    """The longest pause that wasn't told yet, and the one that was told last with its instant; 0 where there is none.

    What was told is told again for two minutes: whoever was away meanwhile finds only the last heartbeat.
    """

    untold_s: float = 0.0
    told_s: float = 0.0
    told_at: float = 0.0

    def with_late(self, late_s: float) -> "Pauses":
        """After a tick that was so many seconds late."""
        return self if late_s < _SHORTEST_S else replace(self, untold_s=max(self.untold_s, late_s))

    def to_tell(self, now: float) -> float:
        if self.untold_s:
            return self.untold_s
        return self.told_s if now - self.told_at < _RETOLD_S else 0.0

    def with_told(self, seconds: float, now: float) -> "Pauses":
        """After a heartbeat that told it was stored: the two minutes count from the first such."""
        return self if seconds in {0.0, self.told_s} else replace(self, told_s=seconds, told_at=now)


class Standstill:
    """Notices pauses by the clock `now`, from `begin` on; `run` is a loop of the background that does it."""

    def __init__(self, *, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._pauses = Pauses()
        self._looked: float | None = None

    async def run(self) -> None:
        self.begin()
        try:
            while True:
                await asyncio.sleep(_TICK_S)
                self._look()
        finally:
            # Nobody looks any more: time that goes by is no pause.
            self._looked = None

    def begin(self) -> None:
        self._looked = self._now()

    @contextmanager
    def telling(self) -> Iterator[float]:
        """The pause to tell, 0.0 for none: told where the block does well, else kept for the next."""
        # Whoever tells may be awake before the loop is.
        self._look()
        before = self._pauses
        seconds, told = before.to_tell(self._now()), False
        # What is noticed meanwhile is the next one's.
        self._pauses = replace(before, untold_s=0.0)
        try:
            yield seconds
            told = True
        finally:
            if told:
                self._pauses = self._pauses.with_told(seconds, self._now())
            else:
                self._pauses = self._pauses.with_late(before.untold_s)

    def _look(self) -> None:
        if self._looked is not None:
            before, self._looked = self._looked, self._now()
            self._pauses = self._pauses.with_late(late_by(before, self._looked, tick_s=_TICK_S))

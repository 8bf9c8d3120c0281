"""Changes to one zone that come together are sent together: one UPDATE a zone and batch.

A change waits for company: for those who were on their way already, and for as long as the UPDATE before it is under
way. Where the server
refuses a batch, its halves are sent on their own, so that a name that may not be changed holds up no other.
"""

import asyncio
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from issuer.domain.errors import SolverError

__all__ = ["Change", "Gathering", "RefusedUpdateError"]


@dataclass(frozen=True)
class Change:
    """A TXT value that is added at a name, or taken away from there; other values stay."""

    name: str
    value: str
    add: bool


class RefusedUpdateError(SolverError):
    """The server refuses what is in the UPDATE: without some of it, it may take the rest."""


@dataclass(frozen=True)
class _Waiting:
    changes: Sequence[Change]
    done: asyncio.Future[None]


_MOST_REFUSALS: Final = 12
"""In a row: then the server refuses everything, and the rest of the batch isn't sent."""
_LONGEST_WAIT_S: Final = 2.0
"""For those who are on their way."""


class Gathering:
    """`send` sends one UPDATE of a zone. A batch has `most` changes at most."""

    def __init__(
        self, send: Callable[[str, Sequence[Change]], Awaitable[None]], *, window_s: float, most: int
    ) -> None:
        self._send = send
        self._window_s = window_s
        self._most = most
        self._coming: set[asyncio.Future[None]] = set()
        self._waiting: dict[str, list[_Waiting]] = {}
        self._sending: dict[str, asyncio.Task[None]] = {}

    @contextmanager
    def announced(self) -> Generator[None, None, None]:
        """Somebody is on the way, and adds changes before the end of this block, or doesn't."""
        arrived: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._coming.add(arrived)
        try:
            yield
        finally:
            self._coming.discard(arrived)
            arrived.set_result(None)

    def add(self, zone: str, changes: Sequence[Change]) -> Sequence[asyncio.Future[None]]:
        """All are done when the server has taken all of the changes; one that it hasn't taken raises SolverError."""
        parts = [changes[start : start + self._most] for start in range(0, len(changes), self._most)]
        waiting = [_Waiting(part, asyncio.get_running_loop().create_future()) for part in parts]
        self._waiting.setdefault(zone, []).extend(waiting)
        if zone not in self._sending:
            self._sending[zone] = asyncio.create_task(self._work_off(zone))
        return [one.done for one in waiting]

    async def end(self) -> None:
        """What is under way is finished: each UPDATE has its own time limit."""
        await asyncio.gather(*self._sending.values())

    async def _work_off(self, zone: str) -> None:
        batch: list[_Waiting] = []
        try:
            await asyncio.sleep(self._window_s)
            while self._waiting[zone]:
                if self._coming:
                    await asyncio.wait(tuple(self._coming), timeout=_LONGEST_WAIT_S)
                batch = self._next_batch(zone)
                await self._send_batch(zone, batch)
        finally:
            # Whoever comes from now on starts anew.
            del self._sending[zone]
            _answer([*batch, *self._waiting.pop(zone)], SolverError(f"an update of {zone} broke off"))

    def _next_batch(self, zone: str) -> list[_Waiting]:
        queue, batch, size = self._waiting[zone], list[_Waiting](), 0
        while queue and size + len(queue[0].changes) <= self._most:
            batch.append(queue.pop(0))
            size += len(batch[-1].changes)
        return batch

    async def _send_batch(self, zone: str, batch: Sequence[_Waiting]) -> None:
        left, refusals = [batch], 0
        while left:
            part = left.pop()
            try:
                await self._send(zone, [change for one in part for change in one.changes])
            except RefusedUpdateError as error:
                refusals += 1
                if refusals >= _MOST_REFUSALS:
                    _answer([one for rest in (part, *left) for one in rest], error)
                    return
                if len(part) == 1:
                    _answer(part, error)
                else:
                    half = len(part) // 2
                    left += [part[half:], part[:half]]
            except SolverError as error:
                _answer(part, error)
            else:
                refusals = 0
                _answer(part, None)


def _answer(batch: Sequence[_Waiting], error: SolverError | None) -> None:
    for one in batch:
        # Whoever waited may have gone meanwhile.
        if one.done.done():
            continue
        if error is None:
            one.done.set_result(None)
        else:
            one.done.set_exception(error)

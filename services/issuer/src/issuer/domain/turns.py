"""Whose job is begun next: owners take turns, so that one team's burst delays no other team's single request."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

__all__ = ["Line", "Turns", "most_of_one_owner", "whose_turn"]

_KEPT_FREE: Final = 8
"""One of so many slots, and at least one, is kept for other owners."""
_OWNERS: Final = 1000
"""Of so many owners the last turn is remembered."""


@dataclass(frozen=True)
class Line:
    """The due jobs of one owner that are urgent, or that are not; they are begun in the order in which they were due.

    Issue orders of a sender that names no owner are in the lines of the owner "". All jobs of a line go to one CA;
    that of jobs whose CA isn't chosen yet is "".
    """

    owner: str
    urgent: bool = False
    ca: str = ""


def most_of_one_owner(slots: int) -> int:
    """How many of the slots one owner may hold: the next owner's job finds a free one, however slow the CA is."""
    return max(1, slots - max(1, slots // _KEPT_FREE))


def whose_turn(
    lines: Collection[Line], *, held: Mapping[str, int], served: Mapping[str, int], most: int
) -> Line | None:
    """The line whose first job is begun next; None where every owner in line holds the `most` slots.

    It is that of the owner who holds the fewest slots; among equals, of the one whose last turn (`served`, growing
    numbers) is longest ago. Of one owner, what is urgent goes before what isn't.
    """
    waiting = [line for line in lines if held.get(line.owner, 0) < most]
    return min(
        waiting,
        key=lambda line: (held.get(line.owner, 0), served.get(line.owner, -1), line.owner, not line.urgent, line.ca),
        default=None,
    )


class Turns:
    """Counts who holds how many of the slots, and when each owner had its last turn."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._most = most_of_one_owner(slots)
        self._held: Counter[str] = Counter()
        self._served: dict[str, int] = {}
        self._turn = 0

    def copy(self) -> "Turns":
        """To plan with: what is planned may fail."""
        other = Turns(self._slots)
        other._held, other._served, other._turn = self._held.copy(), self._served.copy(), self._turn
        return other

    @property
    def free(self) -> int:
        return self._slots - self._held.total()

    def next_of(self, lines: Collection[Line]) -> Line | None:
        if self.free <= 0:
            return None
        return whose_turn(lines, held=self._held, served=self._served, most=self._most)

    def begun(self, owner: str) -> None:
        self._held[owner] += 1
        self._turn += 1
        # The newest at the end: those of owners who come no more are at the beginning.
        self._served.pop(owner, None)
        self._served[owner] = self._turn
        if len(self._served) > _OWNERS:
            del self._served[next(iter(self._served))]

    def ended(self, owner: str) -> None:
        self._held[owner] -= 1
        if self._held[owner] <= 0:
            del self._held[owner]

"""Whose job is begun next: owners take turns, so that one team's burst delays no other team's single request; so do
the lines of an owner, so that what waited for its time doesn't stand behind all that was ordered meanwhile.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, TypeVar

__all__ = ["Line", "Turns", "most_of_one_owner", "whose_turn"]

_KEPT_FREE: Final = 8
"""One of so many slots, and at least one, is kept for other owners."""
_REMEMBERED: Final = 1000
"""Of so many owners, and lines, the last turn is remembered."""

ServedT = TypeVar("ServedT")


@dataclass(frozen=True)
class Line:
    """The due jobs of one owner, at one CA, that are urgent, or that are not, and that waited for a time of their
    own, or did not; they are begun in the order in which they were due.

    Issue orders of a sender that names no owner are in the lines of the owner ""; jobs whose next work needs no CA,
    or whose CA isn't chosen yet, are in the lines of the CA "".
    """

    owner: str
    urgent: bool = False
    ca: str = ""
    waited: bool = False


def most_of_one_owner(slots: int) -> int:
    """How many of the slots one owner may hold: the next owner's job finds a free one, however slow the CA is."""
    return max(1, slots - max(1, slots // _KEPT_FREE))


def whose_turn(
    lines: Collection[Line],
    *,
    held: Mapping[str, int],
    served: Mapping[str, int],
    most: int,
    lines_served: Mapping[Line, int] = MappingProxyType({}),
) -> Line | None:
    """The line of one CA whose first job is begun next; None where every owner in line holds the `most` slots.

    It is that of the owner who holds the fewest slots; among equals, of the one whose last turn (`served`, growing
    numbers) is longest ago. Of one owner, what is urgent goes before what isn't; of its lines that are equal in that,
    the one is next whose last turn (`lines_served`) is longest ago.
    """
    waiting = [line for line in lines if held.get(line.owner, 0) < most]
    return min(
        waiting,
        key=lambda line: (
            held.get(line.owner, 0),
            served.get(line.owner, -1),
            line.owner,
            not line.urgent,
            lines_served.get(line, -1),
            not line.waited,
            line.ca,
        ),
        default=None,
    )


class _Slots:
    """The slots of one CA."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.held: Counter[str] = Counter()
        self.served: dict[str, int] = {}
        self.lines_served: dict[Line, int] = {}
        self.turn = 0

    def copy(self, slots: int) -> "_Slots":
        other = _Slots(slots)
        other.held, other.turn = self.held.copy(), self.turn
        other.served, other.lines_served = self.served.copy(), self.lines_served.copy()
        return other

    @property
    def free(self) -> int:
        return self.slots - self.held.total()

    def begun(self, line: Line) -> None:
        self.held[line.owner] += 1
        self.turn += 1
        _remember(self.served, line.owner, self.turn)
        _remember(self.lines_served, line, self.turn)

    def ended(self, owner: str) -> None:
        self.held[owner] -= 1
        if self.held[owner] <= 0:
            del self.held[owner]


def _remember(served: dict[ServedT, int], who: ServedT, turn: int) -> None:
    # The newest at the end: those who come no more are at the beginning.
    served.pop(who, None)
    served[who] = turn
    if len(served) > _REMEMBERED:
        del served[next(iter(served))]


class Turns:
    """Counts who holds how many of a CA's slots, and when each owner had its last turn there. Each CA has slots of
    its own, so that none takes those of another: `of_cas` says how many. Jobs that need no CA, or one that isn't
    named there, have `slots`.
    """

    def __init__(self, slots: int, of_cas: Mapping[str, int] | None = None) -> None:
        self._of = {"": _Slots(slots), **{ca: _Slots(number) for ca, number in (of_cas or {}).items()}}

    def copy(self) -> "Turns":
        """To plan with: what is planned may fail."""
        return self.within({})

    def within(self, most: Mapping[str, int]) -> "Turns":
        """A copy in which those CAs have no more than so many slots."""
        other = Turns(0)
        other._of = {ca: of.copy(min(of.slots, most.get(ca, of.slots))) for ca, of in self._of.items()}
        return other

    @property
    def free(self) -> int:
        return sum(max(of.free, 0) for of in self._of.values())

    def full(self) -> frozenset[str]:
        """The CAs that have no free slot."""
        return frozenset(ca for ca, of in self._of.items() if of.free <= 0)

    def slots_for(self, ca: str) -> str:
        """Whose slots a job takes that needs this CA."""
        return ca if ca in self._of else ""

    def next_of(self, lines: Collection[Line]) -> Line | None:
        """The CA with the most free slots is served first."""
        for ca, of in sorted(self._of.items(), key=lambda item: -item[1].free):
            if of.free <= 0:
                return None
            here = [line for line in lines if self.slots_for(line.ca) == ca]
            line = whose_turn(
                here, held=of.held, served=of.served, most=most_of_one_owner(of.slots), lines_served=of.lines_served
            )
            if line is not None:
                return line
        return None

    def begun(self, line: Line) -> None:
        self._of[self.slots_for(line.ca)].begun(line)

    def ended(self, line: Line) -> None:
        self._of[self.slots_for(line.ca)].ended(line.owner)

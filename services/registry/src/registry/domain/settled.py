"""How far the log of events is settled: no event can come any more between those that are there.

A number is drawn before its transaction is committed: one that drew a later number may be there first. Whoever goes
on after the highest number that is there would pass the other one by.
"""

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Settled", "Snapshot"]


@dataclass(frozen=True)
class Snapshot:
    """Transactions have numbers, in the order of their first change. Those before `oldest` had ended when a reader
    looked, and what they committed it sees; those that had changed anything by then are before `next`.
    """

    oldest: int
    next: int

    @property
    def nobody_writes(self) -> bool:
        """What a reader sees in it is all that can ever be before the last that it sees."""
        return self.oldest >= self.next


@dataclass(frozen=True)
class Settled:
    """Up to `until` the log is settled; None before that is known of anything.

    `waiting` is the last event of some look, and the transaction before which every lower number was drawn: once all
    those have ended, whatever is still missing was rolled back.
    """

    until: int | None = None
    waiting: tuple[int, int] | None = None

    def passes_some_by(self, found: Sequence[int]) -> bool:
        """Whether it must be known who writes, to go on after all of these events, the next in their order."""
        return bool(found) and (self.until is None or _without_a_gap(self.until, found) < found[-1])

    def looked(self, found: Sequence[int], snapshot: Snapshot | None) -> "Settled":
        """After a look at the events that come next, in their order; where nothing is known, at the last one. The
        snapshot is that of the look, and needed where `passes_some_by` says so.
        """
        if not found:
            return self
        until, waiting = self.until, self.waiting
        if snapshot is not None and snapshot.nobody_writes:
            return Settled(found[-1])
        if snapshot is not None and waiting is not None and waiting[1] <= snapshot.oldest:
            # A look finds so many at most: what it found is all that there is up to its last.
            until = max(until or 0, min(waiting[0], found[-1]))
        if until is not None:
            until = _without_a_gap(until, found)
            if waiting is not None and waiting[0] <= until:
                waiting = None
        if snapshot is not None and waiting is None and (until is None or found[-1] > until):
            waiting = (found[-1], snapshot.next)
        return Settled(until, waiting)


def _without_a_gap(until: int, found: Sequence[int]) -> int:
    for sequence in found:
        if sequence > until + 1:
            break
        until = max(until, sequence)
    return until

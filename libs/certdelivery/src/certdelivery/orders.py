"""Which of two orders for a placement counts. Pure."""

from enum import StrEnum

from certdelivery.placements import Placement

__all__ = ["Standing", "standing"]


class Standing(StrEnum):
    """How an order compares with the one in memory: metric label, field of the log line."""

    FIRST = "first"
    NEWER = "newer"
    CHANGED = "changed"
    SAME = "same"
    OLDER = "older"

    @property
    def urgent(self) -> bool:
        """Whether it ends the wait for the next try."""
        return self in {Standing.FIRST, Standing.NEWER, Standing.CHANGED}


def standing(known: Placement | None, offered: Placement) -> Standing:
    """The higher generation counts, whatever the revision; of two orders of one generation, the one that came last.

    An order of a lower generation was redelivered or is late: carrying it out would undo a newer one.
    """
    if known is None:
        return Standing.FIRST
    if offered.generation != known.generation:
        return Standing.NEWER if offered.generation > known.generation else Standing.OLDER
    return Standing.SAME if offered == known else Standing.CHANGED

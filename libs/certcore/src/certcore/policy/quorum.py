"""Whether those who approved are enough: each person counts once, for one of the groups that are asked."""

from collections.abc import Sequence
from dataclasses import dataclass

from certcore.policy.document import ApprovalsNeeded

__all__ = ["Approver", "missing", "needed_text"]


@dataclass(frozen=True)
class Approver:
    """`groups` are those that the person was in when approving."""

    person: str
    groups: frozenset[str] = frozenset()


def missing(needed: Sequence[ApprovalsNeeded], given: Sequence[Approver]) -> tuple[ApprovalsNeeded, ...]:
    """What is still needed, with as many approvals used as can be; empty where they are enough."""
    seats = [item.group for item in needed for _ in range(item.count)]
    holder: dict[int, int] = {}

    def seated(person: int, tried: set[int]) -> bool:
        """Find the person a seat; who sits there already may move."""
        for seat, group in enumerate(seats):
            if seat in tried or (group is not None and group not in given[person].groups):
                continue
            tried.add(seat)
            if seat not in holder or seated(holder[seat], tried):
                holder[seat] = person
                return True
        return False

    for person in range(len(given)):
        seated(person, set())
    empty = [group for seat, group in enumerate(seats) if seat not in holder]
    return tuple(ApprovalsNeeded(group=group, count=empty.count(group)) for group in dict.fromkeys(empty))


def needed_text(needed: Sequence[ApprovalsNeeded]) -> str:
    """`1 of security and 2 approvers`, as it is told to people."""
    parts = []
    for item in needed:
        if item.group is None:
            parts.append("1 approver" if item.count == 1 else f"{item.count} approvers")
        else:
            parts.append(f"{item.count} of {item.group}")
    return " and ".join(parts)

"""Reads from the outbox in turns: of each stream, a few events of every owner."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from certcore import subjects
from registry.adapters.store import Transaction
from registry.adapters.store.events import StoredEvent
from registry.domain.lane import Key

__all__ = ["Room", "find_unsent"]

_FEW: Final = 64
"""With so few in all, one look finds them: the ordinary state of a quiet registry."""
_LEAST: Final = 8
"""Events of an owner that there is room for, however many owners there are."""


@dataclass(frozen=True)
class Room:
    """What a lane has by owner, as a read needs it: taken before, because the read runs in a thread."""

    held: Mapping[str, int]
    known: Mapping[str, frozenset[Key]]


_EMPTY: Final = Room({}, {})


def find_unsent(
    rooms: Mapping[str, Room], full: set[str], buffer: int, transaction: Transaction, *, few: int = _FEW
) -> tuple[dict[str, list[StoredEvent]], set[str]]:
    """New events by stream, of each owner as many as there is room for; and the streams that have more.

    Nothing is read for the `full` ones. While a restored registry waits for the issuer, its orders stay unsent.
    Up to `few` unsent events are found by one look.
    """
    events, waiting = transaction.events, transaction.epochs.present().waiting
    first = events.first_unsent(limit=few + 1)
    if len(first) <= few:
        first = [item for item in first if not (waiting and _waits(item.stream))]
        found = _all_at_once(rooms, full, first)
        if found is not None:
            found.sort(key=lambda item: item.sequence)
            return _by_stream(found), {item.stream for item in first if item.stream in full}
    wanted: list[int] = []
    unfinished: set[str] = set()
    for stream in events.streams_unsent():
        if waiting and _waits(stream):
            continue
        if stream in full:
            unfinished.add(stream)
            continue
        room = rooms.get(stream, _EMPTY)
        owners = events.owners_unsent(stream)
        each = max(_LEAST, buffer // len(owners))
        for owner in owners:
            known = room.known.get(owner, frozenset())
            free = each - room.held.get(owner, 0)
            if free <= 0:
                unfinished.add(stream)
                continue
            limit = len(known) + free
            keys = events.unsent(stream, owner, limit=limit)
            new = [sequence for sequence, repeats in keys if (sequence, repeats) not in known]
            wanted += new[:free]
            # What is marked and not forgotten yet counts as known, and isn't found any more.
            if len(keys) == limit or len(new) > free:
                unfinished.add(stream)
    return _by_stream(events.many(wanted)), unfinished


def _all_at_once(
    rooms: Mapping[str, Room], full: set[str], unsent: Sequence[StoredEvent]
) -> list[StoredEvent] | None:
    """What is new among a few, where there is room for all; else None: owners must take turns."""
    new: list[StoredEvent] = []
    held: Counter[tuple[str, str]] = Counter()
    for item in unsent:
        room = rooms.get(item.stream, _EMPTY)
        if item.stream in full:
            continue
        if (item.sequence, item.repeats) in room.known.get(item.owner, ()):
            continue
        key = (item.stream, item.owner)
        held[key] += 1
        if held[key] + room.held.get(item.owner, 0) > _LEAST:
            return None
        new.append(item)
    return new


def _waits(stream: str) -> bool:
    return stream == subjects.CERTS or stream.startswith(subjects.DEPLOY)


def _by_stream(events: Iterable[StoredEvent]) -> dict[str, list[StoredEvent]]:
    found: dict[str, list[StoredEvent]] = {}
    for event in events:
        found.setdefault(event.stream, []).append(event)
    return found

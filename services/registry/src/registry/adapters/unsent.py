"""Reads from the outbox in turns: of each stream, a few events of every owner."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from certcore import subjects
from registry.adapters.store import Transaction
from registry.adapters.store.events import StoredEvent
from registry.domain.lane import Key

__all__ = ["Room", "find_unsent"]

_LEAST: Final = 8
"""Events of an owner that there is room for, however many owners there are."""


@dataclass(frozen=True)
class Room:
    """What a lane has by owner, as a read needs it: taken before, because the read runs in a thread."""

    held: Mapping[str, int]
    known: Mapping[str, frozenset[Key]]


_EMPTY: Final = Room({}, {})


def find_unsent(
    rooms: Mapping[str, Room], full: set[str], buffer: int, transaction: Transaction
) -> tuple[dict[str, list[StoredEvent]], set[str]]:
    """New events by stream, of each owner as many as there is room for; and the streams that have more.

    Nothing is read for the `full` ones. While a restored registry waits for the issuer, its orders stay unsent.
    """
    events, waiting = transaction.events, transaction.epochs.present().waiting
    wanted: list[int] = []
    unfinished: set[str] = set()
    for stream in events.streams_unsent():
        if waiting and (stream == subjects.CERTS or stream.startswith(subjects.DEPLOY)):
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
    found: dict[str, list[StoredEvent]] = {}
    for event in events.many(wanted):
        found.setdefault(event.stream, []).append(event)
    return found, unfinished

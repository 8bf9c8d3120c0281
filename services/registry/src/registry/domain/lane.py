"""A lane: which of a stream's events may be in flight now. Pure; times are seconds of a monotonic clock."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

__all__ = ["Key", "Lane", "Parked", "Queued", "pause_after"]

Key = tuple[int, int]
"""An event's sequence, and how often it was ordered to be published again."""

_FIRST_PAUSE_S: Final = 0.25
_LONGEST_PAUSE_S: Final = 4.0
_SET_ASIDE_S: Final = 60.0


class Queued(Protocol):
    """An event that waits. `about` is the thing whose events keep their order; it has one owner."""

    @property
    def sequence(self) -> int: ...

    @property
    def repeats(self) -> int: ...

    @property
    def owner(self) -> str: ...

    @property
    def about(self) -> str: ...


EventT = TypeVar("EventT", bound=Queued)


@dataclass(frozen=True)
class Parked:
    """The stream takes nothing `since` then. Each of the `tries` since was made with one event."""

    since: float
    reason: str
    tries: int
    again_at: float


def pause_after(tries: int) -> float:
    """Seconds until a parked lane is tried again; short enough to be back soon after the cause is gone."""
    return min(_FIRST_PAUSE_S * float(2 ** min(tries - 1, 10)), _LONGEST_PAUSE_S)


class Lane(Generic[EventT]):
    """Of one thing, one event is in flight at a time; the owners take turns.

    An event is known from `add` to `forget`: added again meanwhile, it is ignored.
    """

    def __init__(self, *, window: int) -> None:
        self._window = window
        self._waiting: dict[str, deque[EventT]] = {}
        self._turns: dict[str, dict[str, None]] = {}
        """By owner, in the order of their turns: the things that have an event ready, oldest first."""
        self._counts: dict[str, int] = {}
        """By owner, how many events wait or are in flight."""
        self._in_flight: dict[str, tuple[EventT, float]] = {}
        self._aside: dict[str, float] = {}
        self._known: dict[str, set[Key]] = {}
        self.parked: Parked | None = None

    def __len__(self) -> int:
        """How many events wait or are in flight."""
        return sum(self._counts.values())

    def held(self) -> dict[str, int]:
        """By owner, how many events wait or are in flight."""
        return dict(self._counts)

    def known(self) -> dict[str, frozenset[Key]]:
        """By owner, the events that were added and not forgotten."""
        return {owner: frozenset(keys) for owner, keys in self._known.items()}

    def add(self, events: Iterable[EventT]) -> None:
        for event in events:
            known = self._known.setdefault(event.owner, set())
            if _key(event) in known:
                continue
            known.add(_key(event))
            self._counts[event.owner] = self._counts.get(event.owner, 0) + 1
            queue = self._waiting.setdefault(event.about, deque())
            late = bool(queue) and event.sequence < queue[-1].sequence
            queue.append(event)
            if late:
                # It was committed after a later one.
                self._unready(event.about)
                self._waiting[event.about] = deque(sorted(queue, key=_key))
            self._ready(event.about)

    def forget(self, events: Iterable[EventT]) -> None:
        """These are marked as sent where they were read from."""
        for event in events:
            known = self._known.get(event.owner, set())
            known.discard(_key(event))
            if not known:
                self._known.pop(event.owner, None)

    def take(self, now: float) -> Iterator[EventT]:
        """The events to publish now; each is in flight until it is `stored`, `failed` or `refused`.

        One that fails before the next is asked for ends it: the lane is parked then.
        """
        for about in [about for about, until in self._aside.items() if until <= now]:
            del self._aside[about]
            self._ready(about)
        while self._turns and len(self._in_flight) < self._room(now):
            owner = next(iter(self._turns))
            things = self._turns.pop(owner)
            about = next(iter(things))
            del things[about]
            if things:
                # To the end: the next turn is another owner's.
                self._turns[owner] = things
            event = self._waiting[about].popleft()
            if not self._waiting[about]:
                del self._waiting[about]
            self._in_flight[about] = (event, now)
            yield event

    def _room(self, now: float) -> int:
        """How many events may be in flight."""
        if self.parked is None:
            return self._window
        return 1 if now >= self.parked.again_at else 0

    def stored(self, event: EventT) -> None:
        """The stream has it. The lane takes events again."""
        if self._land(event):
            self.parked = None
            self._leave(event)

    def failed(self, event: EventT, reason: str, now: float) -> None:
        """Whether the stream has it is unknown: it comes first of its thing's events, and the lane is parked."""
        if not self._land(event):
            return
        self._return(event)
        self._ready(event.about)
        if self.parked is None:
            self.parked = Parked(since=now, reason=reason, tries=1, again_at=now + pause_after(1))
        elif now >= self.parked.again_at:
            tries = self.parked.tries + 1
            self.parked = Parked(self.parked.since, reason, tries, now + pause_after(tries))

    def refused(self, event: EventT, now: float) -> None:
        """The stream works and doesn't take this event: its thing waits a minute, and holds up nothing else."""
        if not self._land(event):
            return
        self.parked = None
        self._return(event)
        self._aside[event.about] = now + _SET_ASIDE_S

    def overdue(self, before: float) -> list[EventT]:
        """The events that are in flight since before then."""
        return [event for event, since in self._in_flight.values() if since < before]

    @property
    def in_flight(self) -> int:
        return len(self._in_flight)

    def next_look(self) -> float | None:
        """When `take` may give something although nothing happens until then."""
        times = list(self._aside.values())
        if self.parked is not None and self._turns and not self._in_flight:
            times.append(self.parked.again_at)
        return min(times, default=None)

    def _land(self, event: EventT) -> bool:
        """False where it isn't in flight any more: its answer came after it was taken for lost."""
        held = self._in_flight.get(event.about)
        if held is None or _key(held[0]) != _key(event):
            return False
        del self._in_flight[event.about]
        return True

    def _return(self, event: EventT) -> None:
        self._waiting.setdefault(event.about, deque()).appendleft(event)

    def _leave(self, event: EventT) -> None:
        self._counts[event.owner] -= 1
        if not self._counts[event.owner]:
            del self._counts[event.owner]
        self._ready(event.about)

    def _ready(self, about: str) -> None:
        queue = self._waiting.get(about)
        if queue and about not in self._in_flight and about not in self._aside:
            self._turns.setdefault(queue[0].owner, {})[about] = None

    def _unready(self, about: str) -> None:
        for owner in [owner for owner, things in self._turns.items() if about in things]:
            del self._turns[owner][about]
            if not self._turns[owner]:
                del self._turns[owner]


def _key(event: Queued) -> Key:
    return event.sequence, event.repeats

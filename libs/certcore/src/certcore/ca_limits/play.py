"""When each of many orders could go, if nothing else is asked for: for campaigns and the calendar.

The orders are played in the order of time: those that wait for the same domains stand in one line, and only the first
of each line can be the next, so that ten thousand of them are quick.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from heapq import heappop, heappush

from certcore.ca_limits.asked import AskedCa, BucketKey, Charge, Mode, NewOrder, charges
from certcore.ca_limits.bucket import FULL, Bucket, counted, queued, ready_at, taken
from certcore.ca_limits.limit import LimitKind

__all__ = ["BudgetState", "Forecast", "forecast"]


@dataclass(frozen=True)
class BudgetState:
    """The buckets that aren't full, and how many jobs wait before each: they go first."""

    cas: Mapping[str, AskedCa]
    buckets: Mapping[BucketKey, Bucket] = field(default_factory=dict)
    waiting: Mapping[BucketKey, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Forecast:
    """`limit` is the one that it waits for at last; None where it can go at once."""

    job: str
    at: datetime
    limit: LimitKind | None = None


@dataclass(frozen=True)
class _Order:
    index: int
    job: str
    account: Charge | None
    domains: tuple[Charge, ...]
    own: tuple[Charge, ...]


@dataclass
class _Line:
    """Orders for the same domains of the same account: `awake` by their turn, `asleep` by when their own limits let
    them go.
    """

    number: int
    account: Charge | None
    domains: tuple[Charge, ...]
    awake: list[tuple[int, _Order]] = field(default_factory=list)
    asleep: list[tuple[datetime, int, _Order]] = field(default_factory=list)
    held_by: LimitKind | None = None
    ready_since: datetime | None = None
    """From when on it waits for the account only."""


def forecast(state: BudgetState, asks: Sequence[NewOrder], now: datetime) -> list[Forecast]:
    """In the order of `asks`, which is the order in which they go where they wait for the same; urgent ones first."""
    return _Play(state, asks, now).played()


class _Play:
    def __init__(self, state: BudgetState, asks: Sequence[NewOrder], now: datetime) -> None:
        self._buckets = dict(state.buckets)
        self._state = state
        self._began = self._now = now
        self._found: dict[int, Forecast] = {}
        self._lines: list[_Line] = []
        self._timers: list[tuple[datetime, int]] = []
        self._ready: dict[Charge, list[tuple[int, int]]] = {}
        self._asks = asks
        turns = sorted(range(len(asks)), key=lambda index: (not asks[index].urgent, index))
        by_key: dict[tuple[Charge | None, tuple[Charge, ...]], _Line] = {}
        for turn, index in enumerate(turns):
            order = self._order(index, asks[index])
            line = by_key.get((order.account, order.domains))
            if line is None:
                line = _Line(len(self._lines), order.account, order.domains)
                by_key[order.account, order.domains] = line
                self._lines.append(line)
                self._timers.append((now, line.number))
            line.awake.append((turn, order))
        paces = {one.key: one.pace for line in self._lines for one in _of(line)}
        for key, number in state.waiting.items():
            if key in paces:
                self._buckets[key] = queued(self._buckets.get(key, FULL), paces[key], now, number)

    def played(self) -> list[Forecast]:
        while self._timers or self._ready:
            account = min(self._ready, key=self._account_at, default=None)
            if account is not None and (not self._timers or self._account_at(account) < self._timers[0][0]):
                self._serve(account)
            else:
                at, number = heappop(self._timers)
                self._wake(self._lines[number], max(at, self._now))
        return [self._found[index] for index in range(len(self._asks))]

    def _account_at(self, account: Charge) -> datetime:
        return ready_at(self._buckets.get(account.key, FULL), account.pace, self._now)

    def _serve(self, account: Charge) -> None:
        """The account has one: it is for the first whose domains have one, too."""
        self._now = self._account_at(account)
        waiting = self._ready[account]
        _, number = heappop(waiting)
        if not waiting:
            del self._ready[account]
        line = self._lines[number]
        if self._may_go(line):
            if line.ready_since is not None and line.ready_since < self._now:
                line.held_by = account.key.kind
            self._go(line)

    def _wake(self, line: _Line, at: datetime) -> None:
        self._now = at
        if not self._may_go(line):
            return
        if line.account is None:
            self._go(line)
        else:
            line.ready_since = at
            heappush(self._ready.setdefault(line.account, []), (line.awake[0][0], line.number))

    def _may_go(self, line: _Line) -> bool:
        """Whether its first order waits for the account only; else the line sleeps until one can."""
        while line.asleep and line.asleep[0][0] <= self._now:
            _, turn, order = heappop(line.asleep)
            heappush(line.awake, (turn, order))
        while line.awake:
            turn, order = line.awake[0]
            at, limit = self._latest(order.own)
            if at <= self._now:
                break
            heappop(line.awake)
            heappush(line.asleep, (at, turn, order))
            line.held_by = limit
        if not line.awake:
            if line.asleep:
                heappush(self._timers, (line.asleep[0][0], line.number))
            return False
        at, limit = self._latest(line.domains)
        if at <= self._now:
            return True
        line.held_by = limit
        heappush(self._timers, (at, line.number))
        return False

    def _latest(self, found: tuple[Charge, ...]) -> tuple[datetime, LimitKind | None]:
        latest: tuple[datetime, LimitKind | None] = (self._now, None)
        for one in found:
            if one.mode is Mode.COUNT:
                continue
            at = ready_at(self._buckets.get(one.key, FULL), one.pace, self._now)
            if at > latest[0]:
                latest = at, one.key.kind
        return latest

    def _go(self, line: _Line) -> None:
        _, order = heappop(line.awake)
        account = (line.account,) if line.account else ()
        for one in (*account, *line.domains, *order.own):
            before = self._buckets.get(one.key, FULL)
            if one.mode is Mode.TAKE:
                self._buckets[one.key] = taken(before, one.pace, self._now)
            elif one.mode is Mode.COUNT:
                self._buckets[one.key] = counted(before, one.pace, self._now)
        held_by = line.held_by if self._now > self._began else None
        self._found[order.index] = Forecast(order.job, self._now, held_by)
        if line.awake or line.asleep:
            heappush(self._timers, (self._now, line.number))

    def _order(self, index: int, ask: NewOrder) -> _Order:
        found = charges(ask, self._state.cas[ask.ca], self._now)
        # What nothing is counted of, and which is only held back for a time, makes no line.
        lines = [one for one in found if one.mode is not Mode.LOOK]
        account = next((one for one in lines if one.key.kind is LimitKind.NEW_ORDERS), None)
        domains = tuple(one for one in lines if one.key.kind is LimitKind.CERTIFICATES_PER_DOMAIN)
        own = tuple(one for one in found if one is not account and one not in domains)
        # Of what nothing was taken, nothing is to be looked at, unless it is taken here.
        own = tuple(one for one in own if one.mode is not Mode.LOOK or one.key in self._buckets)
        return _Order(index, ask.job, account, domains, own)


def _of(line: _Line) -> tuple[Charge, ...]:
    own = [one for _, order in line.awake for one in order.own]
    return (*((line.account,) if line.account else ()), *line.domains, *own)

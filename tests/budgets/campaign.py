"""Thousands of orders through the real ledger at a simulated CA, on a clock that jumps from event to event."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from heapq import heappop, heappush
from random import Random
from typing import Final, TypeVar

from sqlalchemy import Connection, Engine

from certcore.ca_limits.asked import AskedCa, NewOrder
from certcore.ca_limits.limit import BudgetSettings
from issuer.adapters.ledger import Ledger
from issuer.domain.budget_decision import NotBefore
from issuer.domain.budget_refusal import read_refusal
from issuer.domain.errors import AcmeProblemError
from tests.budgets.other_traffic import OtherTraffic
from tests.budgets.simulated_ca import Refused, SimulatedCa, SimulatedOrder

__all__ = ["BEGAN", "Campaign", "Outcome"]

BEGAN: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
_CA: Final = "letsencrypt"
_DIRECTORY: Final = "https://ca.test/directory"
_AFTER_FAILURE: Final = (timedelta(minutes=1), timedelta(minutes=10), timedelta(minutes=100), timedelta(days=1))
_MOST_FAILURES: Final = 5
ResultT = TypeVar("ResultT")


@dataclass
class Outcome:
    refusals: dict[str, int] = field(default_factory=dict)
    seen: Counter[str] = field(default_factory=Counter)
    took: timedelta = timedelta()
    granted_while_held: int = 0
    """After a refusal was learned of, and before the time that it named."""


@dataclass
class _Run:
    ask: NewOrder
    counted: frozenset[tuple[str, str]]
    """What the CA may refuse it for."""
    attempts: int = 0
    failures: int = 0
    granted_at: datetime = BEGAN


class Campaign:
    def __init__(
        self, engine: Engine, random: Random, *, orders: int, others: float, share: float = 0.9, faults: float = 1.0
    ) -> None:
        self._engine = engine
        self._random = random
        self._faults = faults
        self._ca = SimulatedCa(random, began=BEGAN)
        budget = BudgetSettings(preset="letsencrypt", share=share)
        self._ledger = Ledger([AskedCa(_CA, _DIRECTORY, budget)])
        self._events: list[tuple[datetime, int, Callable[[], None]]] = []
        self._number = 0
        self._now = BEGAN
        self._left = orders
        self._broken: dict[str, int] = {}
        self._held: dict[tuple[str, str], datetime] = {}
        self._outcome = Outcome()
        runs = [self._job(number, orders) for number in range(orders)]
        names = {one for run in runs for one in run.counted if one[0] in {"domain", "set"}}
        self._others = OtherTraffic(self._ca, random, share=others, names=sorted(names))
        for run in runs:
            self._at(self._some(600), partial(self._ask, run))
        if others:
            self._at(timedelta(), self._others_act)

    def run(self) -> Outcome:
        while self._events and self._left:
            self._now, _, act = heappop(self._events)
            act()
        done = self._outcome
        done.refusals = dict(self._ca.refusals)
        done.took = self._now - BEGAN
        done.seen.update(orders=self._ca.orders, certificates=self._ca.certificates, others=self._others.taken)
        return done

    def _ask(self, run: _Run) -> None:
        asked = replace(run.ask, attempt=str(run.attempts))
        self._outcome.seen["asked"] += 1
        answer = self._write(lambda connection: self._ledger.spend(connection, asked, self._now))
        if isinstance(answer, NotBefore):
            self._outcome.seen["not before"] += 1
            # A worker comes a little later than a timer says.
            self._at(answer.at - self._now + self._some(2), lambda: self._ask(run))
            return
        run.granted_at = self._now
        if any(self._held.get(one, self._now) > self._now for one in run.counted):
            self._outcome.granted_while_held += 1
        if self._happens(0.01):
            # Nobody knows whether it was stored: the same attempt is made again.
            self._at(self._some(60), lambda: self._ask(run))
        else:
            self._at(self._some(30), lambda: self._send(run))

    def _send(self, run: _Run) -> None:
        """newOrder reaches the CA; its answer may not reach us."""
        run.attempts += 1
        if self._happens(0.02):
            self._outcome.seen["not sent"] += 1
            self._at(self._some(120), lambda: self._ask(run))
            return
        answer = self._ca.new_order(run.ask.dns_names, self._now, window=run.ask.window)
        if isinstance(answer, Refused):
            self._refused(run, answer)
        elif self._happens(0.01):
            self._outcome.seen["answer lost"] += 1
            self._at(self._some(120), lambda: self._ask(run))
        else:
            slow = self._happens(0.02)
            self._at(self._some(12 * 3600 if slow else 600), lambda: self._validate(run, answer))

    def _refused(self, run: _Run, answer: Refused) -> None:
        refusal = AcmeProblemError(
            type="rateLimited", status=429, detail=answer.detail, retry_after=answer.retry_after
        )
        lesson = read_refusal(refusal, now=self._now)
        self._write(lambda connection: self._ledger.taught(connection, run.ask, lesson, self._now, run.granted_at))
        self._held[answer.limit, answer.name] = lesson.retry_at or self._now
        self._ask(run)

    def _validate(self, run: _Run, order: SimulatedOrder) -> None:
        name = next((name for name in order.names if self._broken.get(name, 0) > run.failures), None)
        if name is None:
            self._ca.issue(order, self._now)
            self._at(self._some(30), lambda: self._issued(run))
            return
        run.failures += 1
        self._outcome.seen["failed validations"] += 1
        self._ca.could_not_validate(name, self._now)
        self._write(lambda connection: self._ledger.failed(connection, _CA, [name], self._now))
        if run.failures >= _MOST_FAILURES:
            self._write(lambda connection: self._ledger.dropped(connection, run.ask, self._now))
            self._done()
            return
        self._at(_AFTER_FAILURE[min(run.failures, len(_AFTER_FAILURE)) - 1], lambda: self._ask(run))

    def _issued(self, run: _Run) -> None:
        self._write(lambda connection: self._ledger.issued(connection, run.ask, self._now))
        self._done()

    def _done(self) -> None:
        self._left -= 1

    def _others_act(self) -> None:
        self._others.acts(self._now)
        self._at(self._some(1200), self._others_act)

    def _write(self, work: Callable[[Connection], ResultT]) -> ResultT:
        with self._engine.begin() as connection:
            return work(connection)

    def _at(self, after: timedelta, act: Callable[[], None]) -> None:
        self._number += 1
        heappush(self._events, (self._now + max(after, timedelta()), self._number, act))

    def _some(self, most_s: float) -> timedelta:
        return timedelta(seconds=self._random.uniform(0, most_s))

    def _happens(self, chance: float) -> bool:
        return self._random.random() < chance * self._faults

    def _job(self, number: int, orders: int) -> _Run:
        """Most are new, for domains of which a few have many; some are renewals, some ask for one set again."""
        random = self._random
        domains = max(4, orders // 40)
        some = [f"d{int(domains * random.random() ** 1.5)}.org" for _ in range(1 + (random.random() < 0.1))]
        kind = random.random()
        # One in thirty asks for a set that others ask for, too.
        first = f"shared{number % 3}" if kind < 0.03 else f"host{number}"
        names = tuple(f"{first}.{domain}" for domain in dict.fromkeys(some))
        issued_at, window = None, None
        if 0.03 <= kind < 0.23:
            issued_at = BEGAN - timedelta(days=random.randint(30, 80))
            self._ca.knows(names, issued_at)
        if 0.13 <= kind < 0.23:
            window = (BEGAN, BEGAN + timedelta(days=random.randint(1, 30)))
        if self._happens(0.04):
            self._broken[random.choice(names)] = random.randint(1, 2 * _MOST_FAILURES)
        ask = NewOrder(
            _CA,
            f"job-{number}",
            "",
            names,
            urgent=random.random() < 0.01,
            window=window,
            set_issued_at=issued_at,
        )
        return _Run(ask, frozenset(_counted(ask)))


def _counted(ask: NewOrder) -> list[tuple[str, str]]:
    """As the CA names them."""
    if ask.window is not None:
        return []
    found = [("set", ",".join(sorted(ask.dns_names))), *(("failures", name) for name in ask.dns_names)]
    if ask.set_issued_at is None:
        found += [("orders", ""), *(("domain", name.partition(".")[2]) for name in ask.dns_names)]
    return found

"""Which calls are broken, and how: rules, the first that matches counts."""

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from tests.acme_ca.calls import Call, Endpoint, Reply

__all__ = ["Act", "Proceed", "Rule", "Script"]

Proceed = Callable[[], Awaitable[Reply]]
"""Does what was asked, once, and returns the right answer."""


class Act(Protocol):
    """Answers in its own way. It may do what was asked before, or not at all."""

    async def __call__(self, call: Call, proceed: Proceed) -> Reply: ...


def _any(_: Call) -> bool:
    return True


@dataclass
class Rule:
    """Breaks calls at the endpoints (at all where there are none), from the `first` on, `times` times (None: always).

    With a `name`, only calls about an order for it; `per_order` counts for each order by itself; `when` narrows it
    further. `hits` is how often it was used.
    """

    act: Act
    at: frozenset[Endpoint] = frozenset()
    name: str | None = None
    first: int = 1
    times: int | None = 1
    per_order: bool = False
    when: Callable[[Call], bool] = _any
    hits: int = 0
    _seen: Counter[str] = field(default_factory=Counter)

    def matches(self, call: Call) -> bool:
        """Counts the call where it is one of those."""
        if self.at and call.endpoint not in self.at:
            return False
        if self.name is not None and self.name not in call.names:
            return False
        if (self.per_order and call.order is None) or not self.when(call):
            return False
        key = call.order or "" if self.per_order else ""
        self._seen[key] += 1
        nth = self._seen[key]
        hit = nth >= self.first and (self.times is None or nth < self.first + self.times)
        self.hits += hit
        return hit


class Script:
    """Rules may be added and removed at any time."""

    def __init__(self) -> None:
        self.rules: list[Rule] = []
        self._told: dict[tuple[Endpoint, str | None], Rule] = {}

    def add(
        self,
        act: Act,
        *at: Endpoint,
        name: str | None = None,
        first: int = 1,
        times: int | None = 1,
        per_order: bool = False,
        when: Callable[[Call], bool] = _any,
    ) -> Rule:
        rule = Rule(act, frozenset(at), name, first, times, per_order, when)
        self.rules.append(rule)
        return rule

    def tell(self, at: Endpoint, *told: Reply | Act, item: str | None = None) -> None:
        """What is answered there, one after the other and the last for ever, in the place of what was told before.

        Nothing is done or checked but what a told act does by itself.
        """
        self.forget(at, item=item)
        rule = self.add(
            _in_turn(list(told)), at, times=None, when=_any if item is None else lambda call: call.item == item
        )
        self._told[at, item] = rule

    def forget(self, at: Endpoint, *, item: str | None = None) -> None:
        """What was told there."""
        before = self._told.pop((at, item), None)
        if before is not None:
            self.remove(before)

    def remove(self, rule: Rule) -> None:
        self.rules.remove(rule)

    def clear(self) -> None:
        self.rules.clear()
        self._told.clear()

    def act_for(self, call: Call) -> Act | None:
        return next((rule.act for rule in tuple(self.rules) if rule.matches(call)), None)


def _in_turn(told: list[Reply | Act]) -> Act:
    async def act(call: Call, proceed: Proceed) -> Reply:
        one = told.pop(0) if len(told) > 1 else told[0]
        return one if isinstance(one, Reply) else await one(call, proceed)

    return act

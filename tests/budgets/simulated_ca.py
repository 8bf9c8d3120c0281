"""Let's Encrypt's limits as boulder keeps them, on a clock of the test: written from its documentation and sources,
and not from the issuer's own buckets.

The account's orders and failures are counted at once, domains and sets when a certificate is issued; newOrder looks
at all of them.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Final

from certcore.names import registered_domain

__all__ = ["LIMITS", "Refused", "SimulatedCa", "SimulatedOrder", "Tokens"]

_DAY: Final = 86400.0


@dataclass
class Tokens:
    """A bucket of tokens, in seconds of the test's clock."""

    capacity: float
    every_s: float
    left: float
    at_s: float = 0.0

    @classmethod
    def of(cls, capacity: float, period_s: float, *, count: float | None = None) -> "Tokens":
        return cls(capacity, period_s / (count or capacity), capacity)

    def refill(self, now_s: float) -> float:
        self.left = min(self.capacity, self.left + max(0.0, now_s - self.at_s) / self.every_s)
        self.at_s = max(now_s, self.at_s)
        return self.left

    def wait_s(self, now_s: float) -> float:
        """Until there is one; 0 where there is."""
        return max(0.0, (1 - self.refill(now_s)) * self.every_s - 1e-6)

    def take(self, now_s: float) -> bool:
        if self.refill(now_s) < 1 - 1e-6:
            return False
        self.left -= 1
        return True


LIMITS: Final[dict[str, Callable[[], Tokens]]] = {
    "orders": lambda: Tokens.of(300, 3 * 3600),
    "domain": lambda: Tokens.of(50, 7 * _DAY),
    "set": lambda: Tokens.of(5, 7 * _DAY),
    "failures": lambda: Tokens.of(5, 3600),
    "in_a_row": lambda: Tokens.of(1152, _DAY, count=1),
}
_TEXT: Final = {
    "orders": "too many new orders (300) from this account in the last 3h0m0s, retry after {when}",
    "domain": 'too many certificates (50) already issued for "{name}" in the last 168h0m0s, retry after {when}',
    "set": "too many certificates (5) already issued for this exact set of identifiers in the last 168h0m0s,"
    " retry after {when}",
    "failures": 'too many failed authorizations (5) for "{name}" in the last 1h0m0s, retry after {when}',
}


@dataclass(frozen=True)
class Refused:
    limit: str
    name: str
    detail: str
    retry_after: timedelta


@dataclass(frozen=True)
class SimulatedOrder:
    names: tuple[str, ...]
    renewal: bool


class SimulatedCa:
    def __init__(self, random: Random, *, began: datetime) -> None:
        self._random = random
        self._began = began
        self._buckets: dict[tuple[str, str], Tokens] = {}
        self._sets: dict[tuple[str, ...], datetime] = {}
        self.paused: set[str] = set()
        self.refusals: dict[str, int] = defaultdict(int)
        self.orders = 0
        self.certificates = 0

    def bucket(self, limit: str, name: str = "") -> Tokens:
        if (limit, name) not in self._buckets:
            self._buckets[limit, name] = LIMITS[limit]()
        return self._buckets[limit, name]

    def knows(self, names: Iterable[str], issued_at: datetime) -> None:
        """A certificate of long ago."""
        self._sets[_set(names)] = issued_at

    def new_order(
        self, names: tuple[str, ...], now: datetime, *, window: tuple[datetime, datetime] | None = None
    ) -> SimulatedOrder | Refused:
        paused = sorted(self.paused & set(names))
        if paused:
            self.refusals["paused"] += 1
            text = f"Your account is temporarily prevented from requesting certificates for {', '.join(paused)}"
            return Refused(
                "paused", paused[0], f"{text} and possibly others. Please visit: https://ca.test/unpause", timedelta()
            )
        issued_at = self._sets.get(_set(names))
        renewal = issued_at is not None and now - issued_at < timedelta(days=120)
        by_window = window is not None and window[0] <= now < window[1]
        looked = [] if by_window else self._looked(names, renewal=renewal)
        waits = [(self.bucket(*one).wait_s(self.seconds(now)), one) for one in looked]
        longest, (limit, name) = max(waits, default=(0.0, ("", "")))
        if longest:
            self.refusals[limit] += 1
            retry_after = timedelta(seconds=longest * (1 + 0.03 * self._random.random()))
            when = (now + retry_after).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
            text = _TEXT[limit].format(name=name, when=when)
            return Refused(limit, name, f"{text}: see https://letsencrypt.org/docs/rate-limits/", retry_after)
        if ("orders", "") in looked:
            self.bucket("orders").take(self.seconds(now))
        self.orders += 1
        return SimulatedOrder(names, renewal)

    def could_not_validate(self, name: str, now: datetime) -> None:
        self.bucket("failures", name).take(self.seconds(now))
        if not self.bucket("in_a_row", name).take(self.seconds(now)):
            self.paused.add(name)

    def issue(self, order: SimulatedOrder, now: datetime) -> None:
        issued_at = self._sets.get(_set(order.names))
        if issued_at is None or now - issued_at >= timedelta(days=120):
            for domain in set(map(registered_domain, order.names)):
                self.bucket("domain", domain).take(self.seconds(now))
        self.bucket("set", _name(order.names)).take(self.seconds(now))
        self._sets[_set(order.names)] = now
        self.certificates += 1

    def seconds(self, now: datetime) -> float:
        return (now - self._began).total_seconds()

    def _looked(self, names: tuple[str, ...], *, renewal: bool) -> list[tuple[str, str]]:
        found = [("failures", name) for name in names] + [("set", _name(names))]
        if not renewal:
            found += [("orders", "")] + [("domain", domain) for domain in set(map(registered_domain, names))]
        return found


def _set(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(names))


def _name(names: Iterable[str]) -> str:
    return ",".join(_set(names))

"""Failed logins: how long the answer to the next one waits, and what is noted of them."""

import ipaddress
from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

__all__ = ["Attempts", "Noted", "delay_after", "place_of"]

_FREE: Final = 3
_FIRST_S: Final = 0.25
_FORGOTTEN: Final = timedelta(minutes=15)
_MOST_PLACES: Final = 1024
_MOST_NOTED: Final = 16
OTHERS: Final = "others"


def delay_after(failures: int, *, longest_s: float) -> float:
    """Seconds that the answer to the last of so many failures waits. A few mistyped tokens cost nobody anything."""
    doublings = failures - _FREE - 1
    if doublings < 0:
        return 0.0
    return min(longest_s, _FIRST_S * 2.0 ** min(doublings, 30))


def place_of(address: str | None) -> str:
    """What counts as one source: an IPv4 address, or the network of an IPv6 address, of which each host has many."""
    try:
        ip = ipaddress.ip_address(address or "")
    except ValueError:
        return "unknown"
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return str(ip.ipv4_mapped)
        return str(ipaddress.ip_network((ip, 64), strict=False))
    return str(ip)


@dataclass(frozen=True)
class Noted:
    """What one row of the audit says: so many failures of a place since the last look, by why."""

    place: str
    reasons: Mapping[str, int]
    places: int = 1

    @property
    def count(self) -> int:
        return sum(self.reasons.values())

    @property
    def detail(self) -> str:
        why = ", ".join(f"{number} {reason}" for reason, number in sorted(self.reasons.items()))
        return f"{self.count} failed: {why}" + (f"; from {self.places} places" if self.places > 1 else "")


@dataclass
class _Place:
    failures: int = 0
    last: datetime | None = None
    new: Counter[str] = field(default_factory=Counter)


class Attempts:
    """Failures by place, of a bounded number of places: a flood from everywhere forgets the ones longest ago."""

    def __init__(self) -> None:
        self._places: OrderedDict[str, _Place] = OrderedDict()
        self._forgotten: Counter[str] = Counter()
        self._places_forgotten = 0

    def failed(self, place: str, reason: str, now: datetime) -> int:
        """Count a failure; returns how many there were from there lately."""
        found = self._places.pop(place, None) or _Place()
        if found.last is not None and now - found.last > _FORGOTTEN:
            found.failures = 0
        found.failures += 1
        found.last = now
        found.new[reason] += 1
        self._places[place] = found
        if len(self._places) > _MOST_PLACES:
            _, oldest = self._places.popitem(last=False)
            self._forget(oldest)
        return found.failures

    def take(self, now: datetime) -> list[Noted]:
        """What is new since the last look: the places with most failures each, all others together."""
        new = sorted(
            ((place, found) for place, found in self._places.items() if found.new),
            key=lambda item: (-item[1].new.total(), item[0]),
        )
        noted = [Noted(place, dict(found.new)) for place, found in new[:_MOST_NOTED]]
        for _, found in new[_MOST_NOTED:]:
            self._forget(found)
        if self._forgotten:
            noted.append(Noted(OTHERS, dict(self._forgotten), self._places_forgotten))
        self._forgotten, self._places_forgotten = Counter(), 0
        for place, found in list(self._places.items()):
            found.new = Counter()
            if found.last is not None and now - found.last > _FORGOTTEN:
                del self._places[place]
        return noted

    def _forget(self, place: _Place) -> None:
        if place.new:
            self._forgotten += place.new
            self._places_forgotten += 1

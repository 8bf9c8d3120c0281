"""How many renewals are ordered at once: an outage's backlog, or a CA that wants all of them renewed, comes in its
turn, what ends first first.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from certcore.policy.windows import Bounds

__all__ = ["Admission", "Turn", "Waiting", "admit", "hour_of"]

_HOUR: Final = timedelta(hours=1)


class Waiting(NamedTuple):
    """A certificate whose renewal is due; `renew_by` is when its last sixth begins."""

    renew_by: datetime
    certificate_id: str
    owner: str


class Turn(NamedTuple):
    certificate_id: str
    at: datetime
    detail: str


@dataclass
class Admission:
    now: list[str] = field(default_factory=list)
    later: list[Turn] = field(default_factory=list)


def hour_of(now: datetime) -> datetime:
    """When the hour began whose renewals are counted."""
    return now.replace(minute=0, second=0, microsecond=0)


def admit(waiting: Iterable[Waiting], ordered: Mapping[str, int], bounds: Bounds, *, now: datetime) -> Admission:
    """Who is ordered now, and whose turn is in a later hour; `ordered` counts by team what this hour has had."""
    began, found = hour_of(now), Admission()
    used, of_team = Counter({0: sum(ordered.values())}), Counter({(owner, 0): n for owner, n in ordered.items()})
    first, next_of = 0, Counter[str]()
    in_all = f"at most {bounds.most_an_hour} renewals are ordered in an hour"
    of_one = f"at most {bounds.most_an_hour_of_a_team} renewals of team {{}} are ordered in an hour"
    for item in sorted(waiting):
        while used[first] >= bounds.most_an_hour:
            first += 1
        hour = max(first, next_of[item.owner])
        while used[hour] >= bounds.most_an_hour or of_team[item.owner, hour] >= bounds.most_an_hour_of_a_team:
            hour += 1
        next_of[item.owner] = hour
        if hour == 0:
            found.now.append(item.certificate_id)
        else:
            # Over the hour, one after the other.
            at = began + hour * _HOUR + _HOUR * (used[hour] / bounds.most_an_hour)
            detail = of_one.format(item.owner) if hour > first else in_all
            found.later.append(Turn(item.certificate_id, at, detail))
        used[hour] += 1
        of_team[item.owner, hour] += 1
    return found

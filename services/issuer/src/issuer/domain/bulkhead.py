"""What one CA may cost: in which line a job waits, how many jobs a CA may have under way, and what a rate limit
teaches all of its jobs.
"""

import hashlib
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from issuer.domain.breaker import Breaker, Position, position
from issuer.domain.errors import AcmeProblemError
from issuer.domain.job import Job, JobState

__all__ = ["Limit", "ca_needed", "in_force", "is_left", "limit_of", "limit_on", "pause_after", "slots_of", "spread"]

_NEEDS_CA: Final = frozenset(
    {JobState.ACCEPTED, JobState.KEYED, JobState.ORDERED, JobState.VALIDATING, JobState.FINALIZING}
)
_WITHOUT_RETRY_AFTER: Final = timedelta(minutes=1)
_LONGEST_WITHOUT: Final = timedelta(hours=1)
_SHORTEST: Final = timedelta(seconds=1)
_DNS_NAME: Final = re.compile(r"[a-z0-9*_-]+(?:\.[a-z0-9_-]+)+")
_OF_ONE_SET: Final = "exact set"
_SPREAD_PART: Final = 10
_LONGEST_SPREAD: Final = timedelta(minutes=1)


def ca_needed(job: Job) -> str:
    """The CA whose slot its next work takes; empty where it needs none, such as to hand over a bundle or to report
    that it gave up.
    """
    return "" if job.given_up or job.state not in _NEEDS_CA else job.ca or ""


def slots_of(in_flight: int, breaker: Breaker, *, patience: timedelta, now: datetime) -> int:
    """How many jobs the CA may have under way now. One that is away for longer than `patience` gets its jobs again,
    one after another: not to ask it, but to leave it where they may, and to wait by timer where not.
    """
    match position(breaker, now):
        case Position.CLOSED:
            return in_flight
        case Position.OPEN:
            return int(is_left(breaker, patience=patience, now=now))
        case Position.HALF_OPEN:
            return 1


def is_left(breaker: Breaker, *, patience: timedelta, now: datetime) -> bool:
    """Whether nobody asks it, and its jobs go elsewhere."""
    open_ = position(breaker, now) is Position.OPEN
    return open_ and breaker.away_since is not None and now - breaker.away_since >= patience


@dataclass(frozen=True)
class Limit:
    """No new order before `until`. `suffix` is the domain whose names are limited; None where all of the account's
    orders are, and empty where only this one's exact set of names is.
    """

    until: datetime
    detail: str
    suffix: str | None = None


def limit_of(problem: AcmeProblemError, names: Collection[str], *, in_a_row: int, now: datetime) -> Limit:
    """What a rate limit that an order for `names` met means for others. A CA that names no domain of them limits
    everybody, as far as can be known. `in_a_row` counts the limits since an order was taken, with this one.
    """
    without = min(_WITHOUT_RETRY_AFTER * 2 ** min(in_a_row - 1, 10), _LONGEST_WITHOUT)
    wait = max(problem.retry_after if problem.retry_after is not None else without, _SHORTEST)
    texts = [problem.detail, *(f"{item.identifier or ''} {item.detail}" for item in problem.subproblems)]
    return Limit(now + wait, problem.detail, _suffix(" ".join(texts).lower(), names))


def _suffix(text: str, names: Collection[str]) -> str | None:
    if _OF_ONE_SET in text:
        return ""
    named = (domain.removeprefix("*.") for domain in _DNS_NAME.findall(text))
    return next((domain for domain in named if any(_below(name, domain) for name in names)), None)


def _below(name: str, domain: str) -> bool:
    return name == domain or name.endswith(f".{domain}")


def limit_on(names: Collection[str], limits: Sequence[Limit], *, now: datetime) -> Limit | None:
    """The limit that holds an order for `names` back longest."""
    holding = [
        limit
        for limit in limits
        if limit.until > now
        and (limit.suffix is None or (limit.suffix and any(_below(name, limit.suffix) for name in names)))
    ]
    return max(holding, key=lambda limit: limit.until, default=None)


def in_force(limits: Sequence[Limit], *, now: datetime) -> tuple[Limit, ...]:
    """Those that still hold others back."""
    return tuple(limit for limit in limits if limit.until > now and limit.suffix != "")


def pause_after(until: datetime, job: Job, *, now: datetime) -> timedelta:
    """How long a job waits for `until`, so that those that wait for the same instant don't come together."""
    wait = max(until - now, timedelta())
    return wait + spread(str(job.id), over=min(max(wait / _SPREAD_PART, _SHORTEST), _LONGEST_SPREAD))


def spread(key: str, *, over: timedelta) -> timedelta:
    """A part of `over`, always the same for the same key."""
    drawn = int.from_bytes(hashlib.sha256(key.encode()).digest()[:4])
    return over * (drawn / 2**32)

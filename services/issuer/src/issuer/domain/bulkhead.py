"""What one CA may cost: in which line a job waits, and how many jobs a CA may have under way."""

import hashlib
from datetime import datetime, timedelta
from typing import Final

from issuer.domain.breaker import Breaker, Position, position
from issuer.domain.job import Job, JobState
from issuer.domain.turns import Line

__all__ = ["ca_needed", "is_left", "line_of", "pause_after", "slots_of", "spread"]

_NEEDS_CA: Final = frozenset(
    {JobState.ACCEPTED, JobState.KEYED, JobState.ORDERED, JobState.VALIDATING, JobState.FINALIZING}
)
_SHORTEST: Final = timedelta(seconds=1)
_SPREAD_PART: Final = 10
_LONGEST_SPREAD: Final = timedelta(minutes=1)


def ca_needed(job: Job) -> str:
    """The CA whose slot its next work takes; empty where it needs none, such as to hand over a bundle or to report
    that it gave up.
    """
    return "" if job.given_up or job.state not in _NEEDS_CA else job.ca or ""


def line_of(job: Job) -> Line:
    """Where it waits for its turn."""
    return Line(job.owner, job.urgent, ca_needed(job), waited=job.wait_until is not None)


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


def pause_after(until: datetime, job: Job, *, now: datetime) -> timedelta:
    """How long a job waits for `until`, so that those that wait for the same instant don't come together."""
    wait = max(until - now, timedelta())
    return wait + spread(str(job.id), over=min(max(wait / _SPREAD_PART, _SHORTEST), _LONGEST_SPREAD))


def spread(key: str, *, over: timedelta) -> timedelta:
    """A part of `over`, always the same for the same key."""
    drawn = int.from_bytes(hashlib.sha256(key.encode()).digest()[:4])
    return over * (drawn / 2**32)

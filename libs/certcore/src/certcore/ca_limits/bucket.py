"""One bucket of a limit, by the generic cell rate algorithm, as Let's Encrypt's own (boulder, ratelimits/gcra.go):
of all that was taken only the time is kept at which the bucket will be full again.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from certcore.ca_limits.limit import Pace

__all__ = ["FULL", "Bucket", "confirmed", "counted", "queued", "ready_at", "refunded", "taken", "taught"]

_MOST_LESSONS: Final = 9
_FIRST_UNTOLD: Final = timedelta(minutes=1)
_LONGEST_UNTOLD: Final = timedelta(hours=1)
"""Also how long after a hold has ended the next refusal still counts as one of the same row."""
_UNTOLD: Final = timedelta(minutes=10)


@dataclass(frozen=True)
class Bucket:
    """`lessons` says how often the CA refused though there should have been something left: somebody else takes more
    than the share that is left to others. With each, one costs as much more; each is forgotten after a time in which
    an empty bucket would become full. Of what is only held back they are the refusals in a row.
    """

    full_at: datetime
    lessons: int = 0
    taught_at: datetime | None = None


FULL: Final = Bucket(datetime(1970, 1, 1, tzinfo=UTC))


def _costs(bucket: Bucket, pace: Pace, since: datetime) -> Iterator[tuple[datetime, timedelta]]:
    """What one costs from now on, and from when on it costs less, until nothing is remembered."""
    lessons = min(bucket.lessons, pace.burst - 1)
    if not lessons or bucket.taught_at is None or not pace.tolerance:
        yield since, pace.every
        return
    forgotten = max(0, (since - bucket.taught_at) // pace.tolerance)
    for left in range(max(0, lessons - forgotten), -1, -1):
        begin = bucket.taught_at + (lessons - left) * pace.tolerance
        yield max(since, begin), pace.every * (1 + left)


def _cost(bucket: Bucket, pace: Pace, now: datetime) -> timedelta:
    return next(_costs(bucket, pace, now))[1]


def ready_at(bucket: Bucket, pace: Pace, now: datetime, *, at_most: timedelta | None = None) -> datetime:
    """When one can be taken, if nobody takes one before: `now`, or the first moment after it.

    `at_most` is what it costs at the most, where a part is paid already.
    """
    if at_most is not None and max(bucket.full_at, now) + at_most - now <= pace.tolerance:
        return now
    steps = list(_costs(bucket, pace, now))
    for index, (begin, cost) in enumerate(steps):
        at = max(begin, bucket.full_at + cost - pace.tolerance)
        if index + 1 == len(steps) or at < steps[index + 1][0]:
            return at
    raise AssertionError("the last step holds for ever")


def taken(bucket: Bucket, pace: Pace, now: datetime, *, at_most: timedelta | None = None) -> Bucket:
    cost = _cost(bucket, pace, now)
    return replace(bucket, full_at=max(bucket.full_at, now) + (cost if at_most is None else min(cost, at_most)))


def queued(bucket: Bucket, pace: Pace, now: datetime, ahead: int) -> Bucket:
    """As it will look to who stands behind so many others."""
    if not ahead:
        return bucket
    return replace(bucket, full_at=max(bucket.full_at, now) + _cost(bucket, pace, now) * ahead)


def counted(bucket: Bucket, pace: Pace, now: datetime) -> Bucket:
    """What the CA counts, but doesn't refuse. More than an empty bucket owes it doesn't count."""
    owed = min(max(bucket.full_at, now) + pace.every, now + pace.tolerance)
    return replace(bucket, full_at=max(bucket.full_at, owed))


def confirmed(bucket: Bucket, pace: Pace, now: datetime, *, taken_at: datetime) -> Bucket:
    """One that was taken before the CA counted it, which it did now: what was refilled for it meanwhile is owed."""
    return replace(bucket, full_at=max(bucket.full_at, now) + min(max(now - taken_at, timedelta()), pace.every))


def refunded(bucket: Bucket, pace: Pace, now: datetime, *, taken_at: datetime) -> Bucket:
    """One that was taken, and which the CA will never count: without what was refilled for it meanwhile, so that
    never more is given back than is still owed for it.
    """
    return replace(bucket, full_at=bucket.full_at - max(pace.every - max(now - taken_at, timedelta()), timedelta()))


def taught(bucket: Bucket, pace: Pace, now: datetime, *, retry_at: datetime | None, sent_at: datetime) -> Bucket:
    """The CA refused: it has nothing before `retry_at`, and one then. What was sent before the last lesson was
    refused for the same reason, and teaches no more than the time.
    """
    new = bucket.taught_at is None or sent_at > bucket.taught_at
    if pace.every:
        known = _cost(bucket, pace, now) // pace.every - 1 if new else 0
        until = retry_at or now + _UNTOLD
    else:
        known = bucket.lessons if now < bucket.full_at + _LONGEST_UNTOLD else 0
        lessons = max(known + new, 1)
        until = retry_at or now + min(_FIRST_UNTOLD * 2 ** (lessons - 1), _LONGEST_UNTOLD)
    most = min(pace.burst - 1, _MOST_LESSONS) if pace.every else _MOST_LESSONS
    learned = replace(bucket, lessons=min(known + 1, most), taught_at=now) if new else bucket
    # What there was no room for anyway stays so.
    ready = max(until, ready_at(bucket, pace, now))
    return replace(learned, full_at=ready + pace.tolerance - _cost(learned, pace, ready))

"""Whether a request may be sent: every limit is looked at, and one is taken of all of them or of none."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from certcore.ca_limits.asked import BucketKey, Charge, Mode
from certcore.ca_limits.bucket import FULL, Bucket, counted, queued, ready_at, taken
from certcore.ca_limits.limit import HOLD, LimitKind

__all__ = ["Decision", "Granted", "NotBefore", "decide"]

_NOTHING: Final = timedelta()


@dataclass(frozen=True)
class Granted:
    """What may be sent now."""


@dataclass(frozen=True)
class NotBefore:
    """Ask again at `at`: then it may be sent, unless others were quicker. `key` is the bucket that has nothing for
    the longest time.
    """

    at: datetime
    limit: LimitKind
    reason: str
    key: BucketKey = field(compare=False)


@dataclass(frozen=True)
class Decision:
    """`changed` are the buckets as they are to be stored."""

    answer: Granted | NotBefore
    changed: Mapping[BucketKey, Bucket] = field(default_factory=dict)


def decide(
    charges: tuple[Charge, ...],
    buckets: Mapping[BucketKey, Bucket],
    *,
    now: datetime,
    ahead: Mapping[BucketKey, int] | None = None,
    paid: Mapping[BucketKey, datetime] | None = None,
) -> Decision:
    """`ahead` is how many others wait in front of this one. `paid` is what was taken before for the same certificate,
    and when: only what was refilled since is taken again.
    """
    ahead, paid = ahead or {}, paid or {}
    last: tuple[datetime, Charge] | None = None
    changed: dict[BucketKey, Bucket] = {}
    for charge in charges:
        key, pace = charge.key, charge.pace
        bucket = buckets.get(key, FULL)
        at_most = _owed(bucket, paid.get(key), now)
        if charge.mode is Mode.COUNT:
            if key not in paid:
                changed[key] = counted(bucket, pace, now)
            continue
        # Nobody takes what is only looked at: there is no line before it.
        others = ahead.get(key, 0) if charge.mode is Mode.TAKE else 0
        at = ready_at(queued(bucket, pace, now, others), pace, now, at_most=at_most)
        if at > now and (last is None or at > last[0]):
            last = at, charge
        if charge.mode is Mode.TAKE:
            changed[key] = taken(bucket, pace, now, at_most=at_most)
    if last is None:
        return Decision(Granted(), changed)
    at, charge = last
    others = ahead.get(charge.key, 0) if charge.mode is Mode.TAKE else 0
    return Decision(NotBefore(at, charge.key.kind, _reason(charge, others), charge.key))


def _owed(bucket: Bucket, paid_at: datetime | None, now: datetime) -> timedelta | None:
    """What is still to be paid for one that was taken at `paid_at`; None where that is all of it: the CA has shown
    since that others have it.
    """
    if paid_at is None or (bucket.taught_at is not None and paid_at <= bucket.taught_at):
        return None
    return max(now - paid_at, _NOTHING)


def _reason(charge: Charge, ahead: int) -> str:
    if charge.pace == HOLD:
        return f"the CA refused {_what(charge.key)} until then"
    line = f", {ahead} wait before it" if ahead else ""
    return f"no {_what(charge.key)} are left of the CA's limit{line}"


def _what(key: BucketKey) -> str:
    if key.kind is LimitKind.TOLD_TO_WAIT:
        return f"orders for {key.name}" if key.name else "orders of the account"
    return _WHAT[key.kind].format(name=key.name)


_WHAT: Final = {
    LimitKind.NEW_ORDERS: "new orders of the account",
    LimitKind.CERTIFICATES_PER_DOMAIN: "certificates for {name}",
    LimitKind.CERTIFICATES_PER_SET: "certificates for exactly these names",
    LimitKind.FAILURES: "failed validations of {name}",
    LimitKind.FAILURES_IN_A_ROW: "failed validations of {name} without a success",
    LimitKind.NEW_ACCOUNTS: "new accounts",
}

"""Whether a request may be sent: every limit is looked at, and one is taken of all of them or of none."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from issuer.domain.budget import LimitKind
from issuer.domain.budget_ask import BucketKey, Charge, Mode
from issuer.domain.budget_bucket import FULL, Bucket, counted, queued, ready_at, taken

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
    line = f", {ahead} wait before it" if ahead else ""
    match charge.key.kind:
        case LimitKind.TOLD_TO_WAIT:
            return f"{charge.key.scope} told to wait"
        case LimitKind.NEW_ORDERS:
            what = "new orders of the account"
        case LimitKind.CERTIFICATES_PER_DOMAIN:
            what = f"certificates for {charge.key.name}"
        case LimitKind.CERTIFICATES_PER_SET:
            what = "certificates for exactly these names"
        case LimitKind.FAILURES:
            what = f"failed validations of {charge.key.name}"
        case LimitKind.FAILURES_IN_A_ROW:
            what = f"failed validations of {charge.key.name} without a success"
        case LimitKind.NEW_ACCOUNTS:
            what = "new accounts"
    return f"no {what} are left of the CA's limit{line}"

"""What is used of each limit, as the issuer tells it: the newest report counts, and from it the same can be foreseen
as from the issuer's own ledger.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Final

from pydantic import AwareDatetime, Field

from certcore.ca_limits.asked import AskedCa, BucketKey
from certcore.ca_limits.bucket import Bucket
from certcore.ca_limits.limit import BudgetSettings, Limit, LimitKind
from certcore.ca_limits.play import BudgetState
from certcore.reading import Items, ReadModel

__all__ = ["MOST_BUCKETS", "LimitsReport", "ToldBucket", "ToldCa", "ToldLimit", "report_of", "state_of"]

MOST_BUCKETS: Final = 8000
"""With the longest names that is less than the largest body that the registry reads."""
_Text = Annotated[str, Field(max_length=500)]
_Count = Annotated[int, Field(ge=1, le=10**9)]


class ToldLimit(ReadModel):
    kind: _Text
    count: _Count
    period: Annotated[timedelta, Field(gt=timedelta())]
    burst: _Count | None = None


class ToldCa(ReadModel):
    """A CA that the issuer asks by ACME, with the limits that it knows of it; as `BudgetSettings`."""

    name: _Text
    directory_url: _Text
    share: Annotated[float, Field(gt=0, le=1)]
    renewal_memory: Annotated[timedelta, Field(ge=timedelta())]
    limits: Items[ToldLimit] = ()


class ToldBucket(ReadModel):
    """One that isn't full, or before which jobs wait; as `BucketKey` and `Bucket`."""

    scope: _Text
    kind: _Text
    name: _Text = ""
    full_at: AwareDatetime | None = None
    lessons: Annotated[int, Field(ge=0, le=100)] = 0
    taught_at: AwareDatetime | None = None
    waiting: Annotated[int, Field(ge=0, le=10**6)] = 0


class LimitsReport(ReadModel):
    """`complete` is false where there were more buckets than a report holds: those that are full last are in it."""

    made_at: AwareDatetime
    cas: Annotated[Items[ToldCa], Field(max_length=1000)] = ()
    buckets: Annotated[Items[ToldBucket], Field(max_length=MOST_BUCKETS)] = ()
    complete: bool = True


def report_of(state: BudgetState, *, made_at: AwareDatetime) -> LimitsReport:
    keys = {*state.buckets, *state.waiting}
    # Waited for first, then what is full last: the others bind the least.
    ordered = sorted(keys, key=lambda key: (-state.waiting.get(key, 0), -_full_at(state.buckets.get(key)), key))
    told = sorted(ordered[:MOST_BUCKETS])
    return LimitsReport(
        made_at=made_at,
        cas=tuple(_told_ca(ca) for _, ca in sorted(state.cas.items())),
        buckets=tuple(_told_bucket(key, state.buckets.get(key), state.waiting.get(key, 0)) for key in told),
        complete=len(told) == len(keys),
    )


def state_of(report: LimitsReport) -> BudgetState:
    """What a later issuer tells of a kind that isn't known here is left out."""
    kinds = {str(kind): kind for kind in LimitKind}
    found = [(BucketKey(one.scope, kinds[one.kind], one.name), one) for one in report.buckets if one.kind in kinds]
    return BudgetState(
        cas={ca.name: AskedCa(ca.name, ca.directory_url, _budget(ca, kinds)) for ca in report.cas},
        buckets={
            key: Bucket(one.full_at, one.lessons, one.taught_at) for key, one in found if one.full_at is not None
        },
        waiting={key: one.waiting for key, one in found if one.waiting},
    )


def _full_at(bucket: Bucket | None) -> float:
    return bucket.full_at.timestamp() if bucket is not None else 0.0


def _told_ca(ca: AskedCa) -> ToldCa:
    budget = ca.budget
    limits = [(kind, limit) for kind in LimitKind if (limit := budget.limit(kind)) is not None]
    return ToldCa(
        name=ca.name,
        directory_url=ca.directory_url,
        share=budget.share,
        renewal_memory=budget.renewal_memory,
        limits=tuple(
            ToldLimit(kind=kind, count=limit.count, period=limit.period, burst=limit.burst) for kind, limit in limits
        ),
    )


def _told_bucket(key: BucketKey, bucket: Bucket | None, waiting: int) -> ToldBucket:
    told = ToldBucket(scope=key.scope, kind=key.kind, name=key.name, waiting=waiting)
    if bucket is None:
        return told
    known = {"full_at": bucket.full_at, "lessons": bucket.lessons, "taught_at": bucket.taught_at}
    return told.model_copy(update=known)


def _budget(ca: ToldCa, kinds: Mapping[str, LimitKind]) -> BudgetSettings:
    limits = {
        str(kinds[one.kind]): Limit(count=one.count, period=one.period, burst=one.burst)
        for one in ca.limits
        if one.kind in kinds and kinds[one.kind] is not LimitKind.TOLD_TO_WAIT
    }
    return BudgetSettings.model_validate({"share": ca.share, "renewal_memory": ca.renewal_memory, **limits})

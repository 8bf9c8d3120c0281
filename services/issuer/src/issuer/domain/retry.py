"""What follows from a failure: when to try again, whether with a new order, and whether people are told.

Verdicts of a CA count against its limits, so they are repeated as Let's Encrypt asks: after 1, 10, 100 minutes,
then daily. What merely didn't answer is asked again within seconds.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from certcore.backoff import delay_after
from issuer.domain.breaker import TROUBLES
from issuer.domain.failure import FailureReason, JobFailedError
from issuer.domain.job import CaOrder, Job, JobState
from issuer.domain.order_loss import denied, unanswered

__all__ = ["Outage", "Verdict", "decide_retry"]

_VERDICTS: Final = frozenset(
    {
        FailureReason.CA_REFUSED,
        FailureReason.ACCOUNT_REFUSED,
        FailureReason.NAME_REJECTED,
        FailureReason.CAA_FORBIDS,
        FailureReason.NAME_NOT_PROVEN,
        FailureReason.NAME_UNREACHABLE,
        FailureReason.RATE_LIMITED,
        FailureReason.ORDER_INVALID,
        FailureReason.CERTIFICATE_UNFIT,
        FailureReason.REGISTRY_REFUSED,
    }
)
_HOPELESS: Final = frozenset(
    {
        FailureReason.REVOKED,
        FailureReason.UNKNOWN_CA,
        FailureReason.NO_CHALLENGE,
        FailureReason.NAME_NOT_PUBLIC,
        FailureReason.RECIPIENT_UNFIT,
        FailureReason.ISSUE_ORDER_UNFIT,
        FailureReason.ISSUE_ORDER_UNSUPPORTED,
    }
)
_NEEDS_NEW_ORDER: Final = frozenset(
    {
        FailureReason.ORDER_INVALID,
        FailureReason.ORDER_LOST,
        FailureReason.ORDER_STALLED,
        FailureReason.CERTIFICATE_UNFIT,
    }
)
_REPLACED: Final = {FailureReason.ORDER_LOST: 1, FailureReason.ORDER_STALLED: 2}
"""So many orders of one job are replaced without anybody's act: what was lost may have been finalized."""
_VERDICT_DELAYS: Final = (
    timedelta(minutes=1),
    timedelta(minutes=10),
    timedelta(minutes=100),
    timedelta(days=1),
)
_LONGEST_SETBACK: Final = timedelta(minutes=1)
_LONGEST_WITHOUT_REGISTRY: Final = timedelta(seconds=10)
"""It is our own, and what is issued waits for it."""
_LONGEST_BETWEEN_ORDERS: Final = timedelta(hours=1)
_UNANSWERED_DELAY: Final = timedelta(seconds=5)
_SHORTEST_DELAY: Final = timedelta(seconds=1)
_TOLD_FROM: Final = 3
"""A setback is told to people when it happened so often in a row; a verdict at once."""


class Outage(StrEnum):
    """Whether the job's CA is away for all jobs: that is told once, and not by each of them."""

    NONE = "none"
    BEGAN = "began"
    GOES_ON = "goes_on"


@dataclass(frozen=True)
class Verdict:
    """`job` is the job as it is to be stored; `abandons` tells that its order at the CA is given up."""

    job: Job
    reason: FailureReason
    next_try: datetime | None
    abandons: bool


def decide_retry(job: Job, failure: JobFailedError, *, now: datetime, outage: Outage = Outage.NONE) -> Verdict:
    reason = failure.reason
    verdict = reason in _VERDICTS
    refusals = job.refusals + verdict
    setbacks = job.setbacks + (not verdict)
    lost = job.lost + (reason in _REPLACED)
    # What is lost again is lost by a CA that somebody must look at.
    hopeless = reason in _HOPELESS or lost > _REPLACED.get(reason, lost)
    abandons = reason in _NEEDS_NEW_ORDER or failure.order_over
    counted = replace(job, refusals=refusals, setbacks=setbacks, lost=lost, abandoned=job.abandoned + abandons)
    delay = _delay(counted, failure, abandons=abandons)
    next_try = None if hopeless else now + delay
    failed = replace(
        counted,
        wait_until=next_try,
        given_up=hopeless,
        reason=reason,
        problem=f"{reason}: {failure.detail}",
        problem_at=now,
        report_at=now if _is_told(counted, reason, hopeless=hopeless, outage=outage) else job.report_at,
        ca_order=_as_answered(job.ca_order, reason, now),
    )
    if abandons:
        failed = replace(failed, state=JobState.KEYED, ca_order=None, chain_pem=None, validation_method="")
    return Verdict(failed, reason, next_try, abandons)


def _as_answered(order: CaOrder | None, reason: FailureReason, now: datetime) -> CaOrder | None:
    if order is None:
        return None
    match reason:
        case FailureReason.ORDER_UNANSWERED:
            return unanswered(order, now)
        case FailureReason.ORDER_DENIED:
            return denied(order, now)
    return order


def _is_told(counted: Job, reason: FailureReason, *, hopeless: bool, outage: Outage) -> bool:
    if reason in TROUBLES and outage is not Outage.NONE:
        return outage is Outage.BEGAN
    return hopeless or reason in _VERDICTS or counted.setbacks >= _TOLD_FROM


def _delay(job: Job, failure: JobFailedError, *, abandons: bool) -> timedelta:
    reason, retry_after = failure.reason, failure.retry_after
    if retry_after is not None and reason in {FailureReason.RATE_LIMITED, FailureReason.ORDER_DENIED}:
        # The CA knows its own limits better than any schedule of ours; of denials the evidence says when to look.
        return max(retry_after, _SHORTEST_DELAY)
    if reason in _VERDICTS:
        delay = _VERDICT_DELAYS[min(job.refusals, len(_VERDICT_DELAYS)) - 1]
    elif abandons:
        # Every order reached resets the setbacks, so these grow by the orders that were given up.
        delay = min(timedelta(seconds=1) * 4 ** min(job.abandoned - 1, 10), _LONGEST_BETWEEN_ORDERS)
    elif reason is FailureReason.ORDER_UNANSWERED:
        delay = _UNANSWERED_DELAY
    else:
        # No jitter: jobs queue for a few workers, so what failed together doesn't come back together anyway.
        away = reason is FailureReason.REGISTRY_UNREACHABLE
        longest = _LONGEST_WITHOUT_REGISTRY if away else _LONGEST_SETBACK
        delay = delay_after(job.setbacks, jitter=0.0, longest=longest)
    return max(delay, retry_after or delay)

"""What follows from a failure: when to try again, whether with a new order, and whether people are told.

Verdicts of a CA count against its limits, so they are repeated as Let's Encrypt asks: after 1, 10, 100 minutes,
then daily. What merely didn't answer is asked again within seconds.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from certcore.backoff import delay_after
from issuer.domain.errors import AcmeProblemError
from issuer.domain.failure import FailureReason, JobFailedError
from issuer.domain.job import Job, JobState

__all__ = ["Verdict", "decide_retry", "reason_of_problem"]

_VERDICTS: Final = frozenset(
    {
        FailureReason.CA_REFUSED,
        FailureReason.CAA_FORBIDS,
        FailureReason.RATE_LIMITED,
        FailureReason.ORDER_INVALID,
        FailureReason.CERTIFICATE_UNFIT,
        FailureReason.REGISTRY_REFUSED,
    }
)
_HOPELESS: Final = frozenset(
    {
        FailureReason.UNKNOWN_CA,
        FailureReason.NO_CHALLENGE,
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
_FIRST_SLOW_DELAY: Final = timedelta(seconds=15)
_LONGEST_SLOW_DELAY: Final = timedelta(minutes=10)
_TOLD_FROM: Final = 3
"""A setback is told to people when it happened so often in a row; a verdict at once."""


@dataclass(frozen=True)
class Verdict:
    """`job` is the job as it is to be stored; `abandons` tells that its order at the CA is given up."""

    job: Job
    reason: FailureReason
    next_try: datetime | None
    abandons: bool


def reason_of_problem(problem: AcmeProblemError) -> FailureReason:
    if problem.status == 429 or problem.type == "rateLimited":
        return FailureReason.RATE_LIMITED
    # A URL that the CA itself gave out and now doesn't know: the next look at the order tells what that means.
    forgotten = problem.status in {404, 410}
    if forgotten or problem.status >= 500 or problem.type in {"serverInternal", "badNonce", "orderNotReady"}:
        return FailureReason.CA_TROUBLE
    return FailureReason.CA_REFUSED


def decide_retry(job: Job, failure: JobFailedError, *, now: datetime) -> Verdict:
    reason = failure.reason
    hopeless, verdict = reason in _HOPELESS, reason in _VERDICTS
    refusals = job.refusals + verdict
    setbacks = job.setbacks + (not verdict)
    counted = replace(job, refusals=refusals, setbacks=setbacks)
    delay = _delay(counted, reason, retry_after=failure.retry_after)
    next_try = None if hopeless else now + delay
    abandons = reason in _NEEDS_NEW_ORDER
    told = hopeless or verdict or setbacks >= _TOLD_FROM
    failed = replace(
        counted,
        wait_until=next_try,
        given_up=hopeless,
        reason=reason,
        problem=f"{reason}: {failure.detail}",
        problem_at=now,
        report_at=now if told else job.report_at,
    )
    if reason is FailureReason.ORDER_UNANSWERED and job.ca_order and job.ca_order.unanswered_since is None:
        failed = replace(failed, ca_order=replace(job.ca_order, unanswered_since=now))
    if abandons:
        failed = replace(
            failed,
            state=JobState.KEYED,
            ca_order=None,
            chain_pem=None,
            validation_method="",
            abandoned=job.abandoned + 1,
        )
    return Verdict(failed, reason, next_try, abandons)


def _delay(job: Job, reason: FailureReason, *, retry_after: timedelta | None) -> timedelta:
    if reason is FailureReason.RATE_LIMITED and retry_after is not None:
        # The CA knows its own limits better than any schedule of ours.
        return max(retry_after, timedelta(seconds=1))
    if reason in _VERDICTS:
        delay = _VERDICT_DELAYS[min(job.refusals, len(_VERDICT_DELAYS)) - 1]
    elif reason in _NEEDS_NEW_ORDER:
        # Every order reached resets the setbacks, so these grow by the orders that were given up.
        delay = min(timedelta(seconds=1) * 4 ** min(job.abandoned, 10), _LONGEST_BETWEEN_ORDERS)
    elif reason is FailureReason.ORDER_UNANSWERED:
        delay = _UNANSWERED_DELAY
    elif reason is FailureReason.ORDER_SLOW:
        delay = delay_after(job.setbacks, jitter=0.0, first=_FIRST_SLOW_DELAY, longest=_LONGEST_SLOW_DELAY)
    else:
        # No jitter: jobs queue for a few workers, so what failed together doesn't come back together anyway.
        away = reason is FailureReason.REGISTRY_UNREACHABLE
        longest = _LONGEST_WITHOUT_REGISTRY if away else _LONGEST_SETBACK
        delay = delay_after(job.setbacks, jitter=0.0, longest=longest)
    return max(delay, retry_after or delay)

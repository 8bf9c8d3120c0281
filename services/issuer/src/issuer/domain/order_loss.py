"""When an order counts as lost: only by evidence, as another order may be a second certificate.

One answer is none: a proxy, a replica that lags behind or a page of maintenance may have given it. Evidence are
several problem documents that deny the order, over minutes, while the CA answers the account under our key; where a
finalize may have been sent, over a longer time. Any answer about the order ends the row.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from issuer.domain.errors import AcmeProblemError
from issuer.domain.failure import ACME_TYPES, FailureReason, JobFailedError
from issuer.domain.job import CaOrder, Job, JobState

__all__ = [
    "Evidence",
    "answered",
    "denied",
    "denies",
    "is_blank",
    "judge_blank",
    "judge_denial",
    "next_look",
    "unanswered",
]

_GONE: Final = frozenset({404, 410})
_REFUSED: Final = frozenset({400, 401, 403})
_NOT_OF_THE_ORDER: Final = frozenset(
    {"accountDoesNotExist", "badNonce", "orderNotReady", "rateLimited", "serverInternal", "userActionRequired"}
)
_OF_THE_ORDER: Final = frozenset({"malformed", "unauthorized"})
_GROWTH: Final = 3
_LOOKS: Final = 36
"""The first pause is this part of the time that is needed: 5 s of three minutes."""
_BLANK_AFTER_FINALIZE: Final = 16
_BLANK_LOOKS: Final = 4
"""Pauses of this part of the time that was waited already."""
_SHORTEST_PAUSE: Final = timedelta(milliseconds=50)
_LONGEST_PAUSE: Final = timedelta(minutes=10)
_AFTER_FINALIZE: Final = frozenset({JobState.FINALIZING, JobState.ISSUED})


@dataclass(frozen=True)
class Evidence:
    """What is needed: so many denials, of which the last comes so long after the first."""

    denials: int = 4
    over: timedelta = timedelta(minutes=3)
    over_after_finalize: timedelta = timedelta(minutes=15)

    def needed(self, job: Job) -> timedelta:
        return self.over_after_finalize if _finalize_unknown(job) else self.over


def denies(problem: AcmeProblemError) -> bool:
    """Whether the answer is a problem document of ACME that says that there is no such order."""
    if problem.status in _GONE:
        return problem.type in ACME_TYPES - _NOT_OF_THE_ORDER
    return problem.status in _REFUSED and problem.type in _OF_THE_ORDER


def judge_denial(
    job: Job, detail: str, *, account_answers: bool, evidence: Evidence, now: datetime
) -> JobFailedError:
    """What one more denial means: nothing where the CA doesn't answer the account either, ORDER_DENIED where it isn't
    evidence enough, else ORDER_LOST.
    """
    if not account_answers:
        return JobFailedError(FailureReason.CA_UNCLEAR, f"{detail}; nor does it answer the account")
    order = denied(job.ca_order, now) if job.ca_order else None
    if order is None or order.denied_since is None:
        return JobFailedError(FailureReason.UNFORESEEN, "a job without an order was denied one")
    needed, since = evidence.needed(job), order.denied_since
    many = f"{detail} (denied {order.denials} times since {since:%H:%M:%S}, though it answers the account)"
    if order.denials < evidence.denials or now - since < needed:
        return JobFailedError(
            FailureReason.ORDER_DENIED, many, retry_after=next_look(order.denials, over=evidence.over)
        )
    unknown = "; a finalize may have been sent: look for a second certificate" if _finalize_unknown(job) else ""
    return JobFailedError(FailureReason.ORDER_LOST, f"{many}{unknown}")


def is_blank(problem: AcmeProblemError) -> bool:
    """Whether the answer has nothing but a status that says that there is no such thing. Some CAs, and any proxy,
    answer so: it is no denial, and leaves the question unanswered.
    """
    return problem.status in _GONE and problem.type not in ACME_TYPES


def judge_blank(job: Job, detail: str, *, account_answers: bool, evidence: Evidence, now: datetime) -> JobFailedError:
    """ORDER_UNANSWERED; and ORDER_STALLED where it was left so for the longest time that any evidence needs, and much
    longer where a finalize may have been sent.
    """
    if not account_answers:
        return JobFailedError(FailureReason.CA_UNCLEAR, f"{detail}; nor does it answer the account")
    since = job.ca_order.unanswered_since if job.ca_order else None
    waited = now - since if since is not None else timedelta()
    needed = evidence.over_after_finalize * (_BLANK_AFTER_FINALIZE if _finalize_unknown(job) else 1)
    if waited >= needed:
        return JobFailedError(FailureReason.ORDER_STALLED, detail)
    pause = min(waited / _BLANK_LOOKS, _LONGEST_PAUSE)
    return JobFailedError(FailureReason.ORDER_UNANSWERED, detail, retry_after=pause)


def next_look(denials: int, *, over: timedelta) -> timedelta:
    """Looks get rarer: 5, 15, 45, 135 s … where three minutes are needed."""
    grown: int = _GROWTH ** min(max(denials - 1, 0), 20)
    return min(max(over / _LOOKS * grown, _SHORTEST_PAUSE), _LONGEST_PAUSE)


def denied(order: CaOrder, now: datetime) -> CaOrder:
    """An answer, though a denial: the order isn't left unanswered."""
    return replace(order, denied_since=order.denied_since or now, denials=order.denials + 1, unanswered_since=None)


def unanswered(order: CaOrder, now: datetime) -> CaOrder:
    return replace(order, unanswered_since=order.unanswered_since or now)


def answered(order: CaOrder) -> CaOrder:
    """A good answer: whatever was believed before is over. The very order where nothing was."""
    if order.unanswered_since is None and order.denied_since is None and order.denials == 0:
        return order
    return replace(order, unanswered_since=None, denied_since=None, denials=0)


def _finalize_unknown(job: Job) -> bool:
    sent = job.ca_order is not None and job.ca_order.finalize_sent_at is not None
    return sent or job.state in _AFTER_FINALIZE

"""Which waits of jobs people are told about, and when again: each that takes longer than a moment, once a change."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from certcore.events import RevisionWaits, WaitCode
from issuer.domain.breaker import TROUBLES
from issuer.domain.failure import WAITS, FailureReason, reported_as
from issuer.domain.job import JobId
from issuer.domain.waiting import FAILS_AFTER, TOLD_AS_FAILURE

__all__ = ["MOMENT", "HeldUp", "Wait", "is_news", "report_of", "wait_of"]

MOMENT: Final = timedelta(minutes=1)
_ENDS: Final = frozenset({FailureReason.CA_LIMITS, FailureReason.ORDER_SLOW, FailureReason.NOT_PROPAGATED})
"""These are over, or looked at, at an instant. The others are over when the CA goes on."""
_SHIFTED: Final = timedelta(minutes=10)
_DETAIL: Final = 1000


@dataclass(frozen=True)
class HeldUp:
    """A job that isn't done, as the journal has it."""

    job: JobId
    ca: str
    reason: FailureReason | None
    problem: str
    problem_at: datetime | None
    wait_until: datetime | None
    due_at: datetime


@dataclass(frozen=True)
class Wait:
    """`until` is when it is looked at again; None where it goes on as soon as its CA does."""

    job: JobId
    ca: str
    reason: FailureReason
    detail: str
    since: datetime
    until: datetime | None


def wait_of(held: HeldUp, *, away: Mapping[str, datetime], now: datetime) -> Wait | None:
    """What it waits for since longer than a moment; None where that is nothing, or is told as a failure. `away` is
    since when those CAs are away that are: nobody asks them, and what is due there waits.
    """
    if held.reason in WAITS and held.problem_at is not None:
        waited = now - held.problem_at
        if waited < MOMENT or (held.reason in TOLD_AS_FAILURE and waited >= FAILS_AFTER):
            return None
        until = held.wait_until if held.reason in _ENDS else None
        return Wait(held.job, held.ca, held.reason, held.problem[:_DETAIL], held.problem_at, until)
    since = away.get(held.ca)
    if since is None or now - since < MOMENT or not (held.due_at <= now or held.reason in TROUBLES):
        return None
    reason = FailureReason.CA_AWAY
    told = f"{reason}: {held.ca} doesn't answer since {since:%Y-%m-%dT%H:%M:%SZ}"
    return Wait(held.job, held.ca, reason, told, since, until=None)


def is_news(wait: Wait, told: Wait | None) -> bool:
    """Another try that found the same is none; a longer time to wait is."""
    if told is None or (wait.reason, wait.since) != (told.reason, told.since):
        return True
    if wait.until is None or told.until is None:
        return wait.until != told.until
    return wait.until - told.until >= _SHIFTED


def report_of(wait: Wait) -> RevisionWaits:
    return RevisionWaits(
        certificate_id=wait.job.certificate_id,
        revision=wait.job.revision,
        variant=wait.job.variant,
        ca=wait.ca,
        code=WaitCode(wait.reason),
        must_act=reported_as(wait.reason, given_up=False).must_act,
        reason=wait.detail,
        since=wait.since,
        until=wait.until,
    )

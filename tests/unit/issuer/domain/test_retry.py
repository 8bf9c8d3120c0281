from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from issuer.domain.failure import FailureReason, JobFailedError
from issuer.domain.job import JobState
from issuer.domain.retry import Outage, decide_retry
from tests.unit.issuer.samples import NOON, job

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)


def delays(reason: FailureReason, *, times: int, state: JobState = JobState.FINALIZING) -> list[timedelta]:
    """The waits of one failure that happens again and again."""
    some, found = job(state), []
    for _ in range(times):
        verdict = decide_retry(some, JobFailedError(reason, "a detail"), now=NOON)
        assert verdict.next_try is not None
        found.append(verdict.next_try - NOON)
        some = replace(verdict.job, state=state, ca_order=some.ca_order)
    return found


def test_verdicts_of_the_ca_are_repeated_after_1_10_and_100_minutes_then_daily() -> None:
    expected = [MINUTE, 10 * MINUTE, 100 * MINUTE, timedelta(days=1), timedelta(days=1)]
    assert delays(FailureReason.ORDER_INVALID, times=5) == expected
    assert delays(FailureReason.CA_REFUSED, times=5) == expected


def test_a_ca_that_does_not_answer_is_asked_again_within_seconds() -> None:
    found = delays(FailureReason.CA_UNREACHABLE, times=9)
    assert found[:4] == [SECOND, 2 * SECOND, 4 * SECOND, 8 * SECOND]
    assert found[-1] == MINUTE


def test_an_order_that_is_left_unanswered_is_asked_for_at_an_even_pace() -> None:
    assert delays(FailureReason.ORDER_UNANSWERED, times=8) == [5 * SECOND] * 8


def test_a_ca_that_fails_every_order_gets_them_ever_more_slowly() -> None:
    some, found = job(JobState.ORDERED), []
    trouble = JobFailedError(FailureReason.CA_TROUBLE, "serverInternal: oops", order_over=True)
    for _ in range(9):
        verdict = decide_retry(some, trouble, now=NOON)
        assert verdict.next_try is not None
        found.append((verdict.next_try - NOON).total_seconds())
        # A new order is progress, which ends the row of setbacks.
        some = replace(verdict.job, state=JobState.ORDERED, ca_order=some.ca_order, setbacks=0)
    assert found == [1, 4, 16, 64, 256, 1024, 3600, 3600, 3600]


@pytest.mark.parametrize("reason", FailureReason)
def test_only_an_order_that_is_dead_is_replaced(reason: FailureReason) -> None:
    verdict = decide_retry(job(JobState.FINALIZING), JobFailedError(reason, "a detail"), now=NOON)
    dead = reason in {
        FailureReason.ORDER_INVALID,
        FailureReason.ORDER_LOST,
        FailureReason.ORDER_STALLED,
        FailureReason.CERTIFICATE_UNFIT,
    }
    assert verdict.abandons is dead
    assert (verdict.job.state is JobState.KEYED) is dead
    assert (verdict.job.ca_order is None) is dead
    assert verdict.job.abandoned == int(dead)


@pytest.mark.parametrize(
    "reason",
    [
        FailureReason.UNKNOWN_CA,
        FailureReason.NO_CHALLENGE,
        FailureReason.RECIPIENT_UNFIT,
        FailureReason.ISSUE_ORDER_UNFIT,
        FailureReason.ISSUE_ORDER_UNSUPPORTED,
    ],
)
def test_what_only_a_person_can_mend_is_given_up_and_reported(reason: FailureReason) -> None:
    verdict = decide_retry(job(), JobFailedError(reason, "a detail"), now=NOON)
    assert verdict.next_try is None
    assert verdict.job.given_up
    assert verdict.job.reason is reason
    assert verdict.job.report_at == NOON


def test_people_are_told_of_a_verdict_at_once_and_of_setbacks_from_the_third() -> None:
    assert decide_retry(job(), JobFailedError(FailureReason.CA_REFUSED, "no"), now=NOON).job.report_at == NOON
    unreachable = JobFailedError(FailureReason.CA_UNREACHABLE, "away")
    assert decide_retry(job(setbacks=1), unreachable, now=NOON).job.report_at is None
    assert decide_retry(job(setbacks=2), unreachable, now=NOON).job.report_at == NOON


def test_a_rate_limit_is_waited_for_as_long_as_the_ca_says() -> None:
    limited = JobFailedError(FailureReason.RATE_LIMITED, "too many", retry_after=timedelta(hours=36))
    assert decide_retry(job(), limited, now=NOON).next_try == NOON + timedelta(hours=36)
    soon = JobFailedError(FailureReason.RATE_LIMITED, "too many", retry_after=7 * SECOND)
    assert decide_retry(job(refusals=3), soon, now=NOON).next_try == NOON + 7 * SECOND


@given(
    st.sampled_from(FailureReason),
    st.timedeltas(min_value=timedelta(), max_value=timedelta(days=30)),
    st.integers(0, 10_000),
)
def test_no_try_ever_comes_before_the_time_that_the_ca_asked_for(
    reason: FailureReason, retry_after: timedelta, failures: int
) -> None:
    some = job(JobState.FINALIZING, refusals=failures, setbacks=failures, abandoned=failures)
    verdict = decide_retry(some, JobFailedError(reason, "a detail", retry_after=retry_after), now=NOON)
    assert verdict.next_try is None or NOON + max(retry_after, SECOND) <= verdict.next_try
    assert verdict.next_try is None or verdict.next_try <= NOON + timedelta(days=31)


def test_patience_starts_when_an_order_is_first_left_unanswered() -> None:
    unanswered = JobFailedError(FailureReason.ORDER_UNANSWERED, "silence")
    first = decide_retry(job(JobState.FINALIZING), unanswered, now=NOON).job
    second = decide_retry(first, unanswered, now=NOON + MINUTE).job
    assert first.ca_order is not None
    assert second.ca_order is not None
    assert first.ca_order.unanswered_since == second.ca_order.unanswered_since == NOON


def test_an_order_that_a_ca_leaves_unanswered_for_good_is_replaced_twice() -> None:
    some = job(JobState.FINALIZING)
    stalled = JobFailedError(FailureReason.ORDER_STALLED, "silence")
    gave_up = []
    for _ in range(3):
        verdict = decide_retry(some, stalled, now=NOON)
        gave_up.append(verdict.job.given_up)
        some = replace(job(JobState.FINALIZING), lost=verdict.job.lost)
    assert gave_up == [False, False, True]


def test_an_order_that_is_over_is_replaced_whatever_the_reason() -> None:
    over = JobFailedError(FailureReason.CAA_FORBIDS, "no", order_over=True)
    verdict = decide_retry(job(JobState.FINALIZING), over, now=NOON)
    assert (verdict.abandons, verdict.job.state, verdict.job.ca_order) == (True, JobState.KEYED, None)


def test_the_outage_of_a_ca_is_told_by_one_job_and_not_by_each() -> None:
    unreachable = JobFailedError(FailureReason.CA_UNREACHABLE, "away")
    told = {
        outage: decide_retry(job(setbacks=setbacks), unreachable, now=NOON, outage=outage).job.report_at is not None
        for outage, setbacks in ((Outage.NONE, 0), (Outage.BEGAN, 0), (Outage.GOES_ON, 50))
    }
    assert told == {Outage.NONE: False, Outage.BEGAN: True, Outage.GOES_ON: False}


def test_what_is_the_jobs_own_is_told_while_its_ca_is_away() -> None:
    refused = JobFailedError(FailureReason.REGISTRY_REFUSED, "no")
    assert decide_retry(job(), refused, now=NOON, outage=Outage.GOES_ON).job.report_at == NOON


def test_denials_are_counted_with_the_order() -> None:
    denied = JobFailedError(FailureReason.ORDER_DENIED, "no such order", retry_after=5 * SECOND)
    first = decide_retry(job(JobState.FINALIZING), denied, now=NOON).job
    second = decide_retry(first, denied, now=NOON + MINUTE).job
    assert second.ca_order is not None
    assert (second.ca_order.denied_since, second.ca_order.denials) == (NOON, 2)
    assert second.wait_until == NOON + MINUTE + 5 * SECOND

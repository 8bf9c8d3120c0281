from dataclasses import replace
from datetime import timedelta

from issuer.domain.job import JobState, Step, next_step
from issuer.domain.reopening import ReopeningReason, reopen
from tests.unit.issuer.samples import NOON, job, order


def test_a_finished_job_is_reported_again() -> None:
    reopening = reopen(job(JobState.STORED), order(), now=NOON)
    assert reopening.reason is ReopeningReason.TOLD_AGAIN
    assert next_step(reopening.job, now=NOON) is Step.REPORT


def test_a_job_that_waits_is_tried_now() -> None:
    reopening = reopen(job(JobState.KEYED, wait_until=NOON + timedelta(days=1)), order(), now=NOON)
    assert reopening.reason is ReopeningReason.TRIED_NOW
    assert next_step(reopening.job, now=NOON) is Step.OPEN_ORDER


def test_a_job_that_gave_up_is_tried_now() -> None:
    reopening = reopen(job(given_up=True), order(), now=NOON)
    assert reopening.reason is ReopeningReason.TRIED_NOW
    assert next_step(reopening.job, now=NOON) is Step.MAKE_KEY


def test_a_job_under_way_is_left_alone() -> None:
    under_way = job(JobState.VALIDATING)
    assert reopen(under_way, order(), now=NOON).job is under_way
    late = replace(under_way, wait_until=NOON - timedelta(seconds=1))
    assert reopen(late, order(), now=NOON).reason is ReopeningReason.UNDER_WAY


def test_before_a_key_is_made_the_repeated_issue_order_replaces_the_first() -> None:
    mended = order("mended.example.org")
    reopening = reopen(job(given_up=True), mended, now=NOON)
    assert (reopening.job.issue_order, reopening.job.ca) == (mended, None)


def test_a_key_that_was_made_stays_with_the_issue_order_that_it_was_made_for() -> None:
    waiting = job(JobState.KEYED, wait_until=NOON + timedelta(days=1))
    reopening = reopen(waiting, order("other.example.org"), now=NOON)
    assert (reopening.job.issue_order, reopening.job.ca) == (waiting.issue_order, waiting.ca)


def test_an_issue_order_that_is_no_better_than_the_first_is_refused_again() -> None:
    reopening = reopen(job(given_up=True), order(key_algorithm="ml-dsa-65"), now=NOON)
    assert reopening.reason is ReopeningReason.REFUSED
    assert next_step(reopening.job, now=NOON) is Step.REPORT
    assert next_step(replace(reopening.job, report_at=None), now=NOON) is Step.REST

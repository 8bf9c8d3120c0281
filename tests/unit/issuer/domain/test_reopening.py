from dataclasses import replace
from datetime import timedelta

from issuer.domain.job import JobState, Step, next_step
from issuer.domain.reopening import ReopeningReason, reopen
from tests.unit.issuer.samples import NOON, job


def test_a_finished_job_is_reported_again() -> None:
    reopening = reopen(job(JobState.STORED), now=NOON)
    assert reopening.reason is ReopeningReason.TOLD_AGAIN
    assert next_step(reopening.job, now=NOON) is Step.REPORT


def test_a_job_that_waits_is_tried_now() -> None:
    reopening = reopen(job(JobState.KEYED, wait_until=NOON + timedelta(days=1)), now=NOON)
    assert reopening.reason is ReopeningReason.TRIED_NOW
    assert next_step(reopening.job, now=NOON) is Step.OPEN_ORDER


def test_a_job_that_gave_up_is_tried_now() -> None:
    reopening = reopen(job(given_up=True), now=NOON)
    assert reopening.reason is ReopeningReason.TRIED_NOW
    assert next_step(reopening.job, now=NOON) is Step.MAKE_KEY


def test_a_job_under_way_is_left_alone() -> None:
    under_way = job(JobState.VALIDATING)
    assert reopen(under_way, now=NOON).job is under_way
    late = replace(under_way, wait_until=NOON - timedelta(seconds=1))
    assert reopen(late, now=NOON).reason is ReopeningReason.UNDER_WAY

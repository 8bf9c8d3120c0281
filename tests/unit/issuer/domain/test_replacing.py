from datetime import timedelta

import pytest

from issuer.domain.failure import FailureReason, JobFailedError
from issuer.domain.job import Job, JobState
from issuer.domain.replacing import Replacing, Why, replaced_by
from issuer.domain.retry import decide_retry
from tests.unit.issuer.samples import NOON, job, order


def failed(reason: FailureReason, *, times: int) -> tuple[Job, timedelta]:
    """A renewal whose newOrder failed so often in a row, and how long that took."""
    renewal, now = job(JobState.KEYED, issue_order=order("a.example.org", replaces="an.id")), NOON
    for _ in range(times):
        verdict = decide_retry(renewal, JobFailedError(reason, "a detail"), now=now)
        assert verdict.next_try is not None
        renewal, now = verdict.job, verdict.next_try
    return renewal, now - NOON


def test_a_first_certificate_replaces_nothing() -> None:
    assert replaced_by(job(JobState.KEYED)) == Replacing(None, Why.FIRST)


def test_an_order_of_before_has_named_it() -> None:
    again = job(JobState.KEYED, issue_order=order("a.example.org", replaces="an.id"), abandoned=1)
    assert replaced_by(again) == Replacing(None, Why.NAMED_BEFORE)


@pytest.mark.parametrize("times", [0, 1, 4])
def test_a_ca_in_trouble_is_asked_again_with_it(times: int) -> None:
    renewal, _ = failed(FailureReason.CA_TROUBLE, times=times)
    assert replaced_by(renewal) == Replacing("an.id", Why.WANTED)


def test_a_ca_that_fails_each_time_is_asked_without_within_a_minute() -> None:
    renewal, after = failed(FailureReason.CA_TROUBLE, times=5)
    assert replaced_by(renewal) == Replacing(None, Why.FAILS)
    assert after < timedelta(minutes=1)


def test_a_ca_that_does_not_answer_says_nothing_of_it() -> None:
    renewal, _ = failed(FailureReason.CA_UNREACHABLE, times=20)
    assert replaced_by(renewal).reason is Why.WANTED

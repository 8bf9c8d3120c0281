from dataclasses import replace

import pytest

from issuer.domain.budget_settling import Settling, settling
from issuer.domain.failure import FailureReason, JobFailedError
from issuer.domain.job import CaOrder, Job, JobState
from issuer.domain.reopening import reopen_listed
from issuer.domain.retry import decide_retry
from tests.unit.issuer.samples import NOON, job, order

OPEN = CaOrder("https://ca.test/order/1", "https://ca.test/order/1/finalize")
SENT = replace(OPEN, finalize_sent_at=NOON)


def after_failure(before: Job, reason: FailureReason) -> Settling:
    return settling(before, decide_retry(before, JobFailedError(reason, "why"), now=NOON).job)


def test_what_is_issued_is_counted() -> None:
    before = job(JobState.FINALIZING, ca_order=SENT)
    assert settling(before, replace(before, state=JobState.ISSUED)) is Settling.SIGNED


def test_what_is_handed_over_again_is_counted_no_second_time() -> None:
    before = job(JobState.STORED, ca_order=SENT)
    assert settling(before, replace(before, state=JobState.ISSUED)) is Settling.KEPT


@pytest.mark.parametrize("ca_order", [None, OPEN])
def test_a_job_that_is_given_up_gives_back(ca_order: CaOrder | None) -> None:
    before = job(JobState.ORDERED if ca_order else JobState.KEYED, ca_order=ca_order)
    assert after_failure(before, FailureReason.NO_CHALLENGE) is Settling.GIVEN_BACK


def test_a_job_that_was_given_up_before_gives_nothing_back_again() -> None:
    before = job(JobState.KEYED, given_up=True)
    assert settling(before, replace(before, report_at=NOON)) is Settling.KEPT


@pytest.mark.parametrize(
    "reason", [FailureReason.ORDER_INVALID, FailureReason.CA_TROUBLE, FailureReason.RATE_LIMITED]
)
def test_a_job_that_is_tried_again_keeps_what_it_took(reason: FailureReason) -> None:
    assert after_failure(job(JobState.VALIDATING, ca_order=OPEN), reason) is Settling.KEPT


def test_what_may_have_been_signed_is_not_given_back() -> None:
    assert after_failure(job(JobState.FINALIZING, ca_order=SENT), FailureReason.UNKNOWN_CA) is Settling.KEPT
    lost_again = job(JobState.FINALIZING, ca_order=SENT, lost=1)
    given_up = decide_retry(lost_again, JobFailedError(FailureReason.ORDER_LOST, "why"), now=NOON).job
    assert given_up.given_up
    assert settling(lost_again, given_up) is Settling.KEPT


def test_a_job_that_goes_to_another_ca_gives_back_at_the_one_that_it_leaves() -> None:
    before = job(JobState.KEYED)
    assert settling(before, replace(before, ca="another")) is Settling.GIVEN_BACK


@pytest.mark.parametrize(("ca_order", "becomes"), [(OPEN, Settling.GIVEN_BACK), (SENT, Settling.SIGNED)])
def test_another_csr_begins_anew_and_what_may_have_been_signed_for_the_first_is_counted(
    ca_order: CaOrder, becomes: Settling
) -> None:
    before = job(JobState.FINALIZING, ca_order=ca_order)
    other = order("a.example.org").model_copy(update={"csr_pem": "another"})
    assert settling(before, reopen_listed(before, other, now=NOON, first=False).job) is becomes


def test_before_a_key_is_made_nothing_is_taken() -> None:
    before = job(JobState.ACCEPTED, ca=None)
    assert settling(before, replace(before, given_up=True)) is Settling.KEPT

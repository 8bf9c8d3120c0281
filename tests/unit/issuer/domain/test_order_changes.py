"""What each step of a job means for the record of its order."""

from dataclasses import replace
from datetime import timedelta

import pytest

from issuer.domain.failure import FailureReason, JobFailedError
from issuer.domain.job import CaOrder, JobState
from issuer.domain.order_changes import Ended, FinalizeSent, Opened, Revoked, order_changes
from issuer.domain.order_record import RecordedState
from issuer.domain.retry import decide_retry
from issuer.domain.revoked import Revocation, RevocationReason
from tests.unit.issuer.samples import NOON, job

URL = "https://ca.test/order/1"


def test_an_order_that_a_job_gets_is_opened() -> None:
    order = CaOrder(URL, "f")
    assert order_changes(job(JobState.KEYED), job(JobState.ORDERED, ca_order=order)) == [Opened(URL, None)]


@pytest.mark.parametrize("step", [JobState.VALIDATING, JobState.FINALIZING])
def test_steps_of_an_open_order_change_nothing_of_it(step: JobState) -> None:
    assert order_changes(job(JobState.ORDERED), job(step)) == []


def test_when_a_finalize_may_have_been_sent_is_recorded_once() -> None:
    before = job(JobState.FINALIZING)
    assert before.ca_order is not None
    sent = replace(before, ca_order=replace(before.ca_order, finalize_sent_at=NOON))
    assert order_changes(before, sent) == [FinalizeSent(URL, NOON)]
    assert order_changes(sent, replace(sent, setbacks=1)) == []


def test_an_order_whose_chain_was_fetched_is_issued_and_stays_it() -> None:
    issued = job(JobState.ISSUED, chain_pem="a chain")
    assert order_changes(job(JobState.FINALIZING), issued) == [Ended(URL, RecordedState.ISSUED)]
    assert order_changes(issued, replace(issued, state=JobState.STORED)) == []


@pytest.mark.parametrize(
    ("reason", "state"),
    [
        (FailureReason.ORDER_INVALID, RecordedState.INVALID),
        (FailureReason.ORDER_LOST, RecordedState.LOST),
        (FailureReason.ORDER_STALLED, RecordedState.ABANDONED),
        (FailureReason.CERTIFICATE_UNFIT, RecordedState.ABANDONED),
    ],
)
def test_an_order_that_is_given_up_ends_as_what_it_was(reason: FailureReason, state: RecordedState) -> None:
    before = job(JobState.VALIDATING)
    given_up = decide_retry(before, JobFailedError(reason, "why"), now=NOON).job
    assert order_changes(before, given_up) == [Ended(URL, state)]


def test_what_counts_as_lost_ends_as_lost() -> None:
    before = job(JobState.VALIDATING)
    after = replace(before, state=JobState.KEYED, ca_order=None, lost=1, reason=FailureReason.ORDER_LOST)
    assert order_changes(before, after) == [Ended(URL, RecordedState.LOST)]


def test_an_order_that_is_replaced_at_once_ends_before_the_new_one_is_opened() -> None:
    before, other = job(JobState.ORDERED), CaOrder("https://ca.test/order/2", "f")
    changes = order_changes(before, replace(before, ca_order=other, wait_until=NOON + timedelta(minutes=1)))
    assert changes == [Ended(URL, RecordedState.ABANDONED), Opened(other.url, None)]


def test_that_its_leaf_was_revoked_is_recorded_once() -> None:
    issued = job(JobState.ISSUED, chain_pem="a chain")
    revocation = Revocation(NOON, RevocationReason.SUPERSEDED)
    revoked = replace(issued, revocation=revocation)
    assert order_changes(issued, revoked) == [Revoked(URL, revocation)]
    assert order_changes(revoked, replace(revoked, given_up=True)) == []
    signed = replace(issued, ca_order=None)
    assert order_changes(signed, replace(signed, revocation=revocation)) == []

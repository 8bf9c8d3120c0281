from datetime import timedelta

import pytest

from issuer.domain.failure import WAITS, FailureReason, JobWaitsError
from issuer.domain.job import JobState, Step, next_step
from issuer.domain.waiting import decide_wait, without_wait
from tests.unit.issuer.samples import NOON, job

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)


def unseen(detail: str = "ns2 doesn't have it") -> JobWaitsError:
    return JobWaitsError(FailureReason.NOT_PROPAGATED, detail, wait=5 * SECOND)


@pytest.mark.parametrize("reason", sorted(WAITS))
def test_a_wait_is_a_timer_and_counts_as_no_failure(reason: FailureReason) -> None:
    before = job(JobState.VALIDATING, refusals=1, setbacks=2)
    waiting = decide_wait(before, JobWaitsError(reason, "a detail", wait=7 * SECOND), now=NOON)
    assert (waiting.refusals, waiting.setbacks, waiting.abandoned) == (1, 2, 0)
    assert waiting.ca_order == before.ca_order
    assert waiting.problem == f"{reason}: a detail"
    assert next_step(waiting, now=NOON) is Step.WAIT
    assert next_step(waiting, now=NOON + 7 * SECOND) is Step.PROVE_CONTROL


def test_people_are_told_when_it_takes_long() -> None:
    waiting = decide_wait(job(JobState.VALIDATING), unseen(), now=NOON)
    for number in range(1, 20):
        now = NOON + number * MINUTE
        waiting = decide_wait(waiting, unseen(f"look {number}"), now=now)
        assert waiting.problem == f"not_propagated: look {number}"
        assert (next_step(waiting, now=now) is Step.REPORT) == (number >= 10)
    assert waiting.problem_at == NOON


def test_what_a_ca_holds_back_is_not_told_by_each_job() -> None:
    for reason in (FailureReason.CA_LIMITS, FailureReason.CA_AWAY, FailureReason.CA_BUSY):
        assert decide_wait(job(), JobWaitsError(reason, "", wait=SECOND), now=NOON).report_at is None


def test_a_wait_that_is_over_leaves_nothing_to_tell() -> None:
    waiting = decide_wait(job(JobState.VALIDATING), unseen(), now=NOON)
    over = without_wait(waiting)
    assert (over.reason, over.problem, over.problem_at, over.report_at) == (None, None, None, None)
    failed = job(JobState.VALIDATING, reason=FailureReason.CA_REFUSED, problem="no", problem_at=NOON)
    assert without_wait(failed) is failed


def test_a_report_that_was_due_before_is_still_made() -> None:
    waiting = decide_wait(job(JobState.VALIDATING, report_at=NOON + 5 * SECOND), unseen(), now=NOON)
    assert without_wait(waiting).report_at == NOON + 5 * SECOND


def test_a_wait_for_something_else_begins_anew() -> None:
    first = decide_wait(job(JobState.VALIDATING), unseen(), now=NOON)
    slow = JobWaitsError(FailureReason.ORDER_SLOW, "pending", wait=SECOND)
    second = decide_wait(first, slow, now=NOON + MINUTE)
    assert (second.problem_at, second.report_at) == (NOON + MINUTE, NOON + 11 * MINUTE)

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from certcore.events import MustAct
from issuer.domain.errors import AcmeProblemError
from issuer.domain.failure import FailureReason, JobFailedError, reason_of_problem, reported_as
from issuer.domain.job import CaOrder, Job, JobState
from issuer.domain.order_loss import Evidence, answered, denies, is_blank, judge_blank, judge_denial, next_look
from issuer.domain.retry import decide_retry
from tests.unit.issuer.samples import NOON, job

EVIDENCE = Evidence()
GONE = AcmeProblemError(type="malformed", status=404, detail="no such order")
NO_EVIDENCE = (
    AcmeProblemError(type="", status=404, detail="<html>"),
    AcmeProblemError(type="", status=403, detail="a proxy's page"),
    AcmeProblemError(type="about:blank", status=404, detail="a gateway's problem"),
    AcmeProblemError(type="serverInternal", status=500, detail="oops"),
    AcmeProblemError(type="", status=503, detail="maintenance"),
    AcmeProblemError(type="rateLimited", status=429, detail="slower"),
    AcmeProblemError(type="badNonce", status=400, detail="again"),
)


@pytest.mark.parametrize(
    ("type_", "status", "expected"),
    [
        ("malformed", 404, True),
        ("malformed", 410, True),
        ("malformed", 400, True),
        ("unauthorized", 403, True),
        ("unauthorized", 401, True),
        ("unauthorized", 404, True),
        ("rejectedIdentifier", 403, False),
        ("accountDoesNotExist", 404, False),
        ("userActionRequired", 403, False),
        ("serverInternal", 404, False),
        ("malformed", 500, False),
        *((problem.type, problem.status, False) for problem in NO_EVIDENCE),
    ],
)
def test_only_a_problem_document_of_acme_denies_an_order(type_: str, status: int, *, expected: bool) -> None:
    assert denies(AcmeProblemError(type=type_, status=status, detail="")) is expected


def look(some: Job, problem: AcmeProblemError | None, *, account_answers: bool = True, now: datetime) -> Job:
    """What is stored after one look at the order."""
    assert some.ca_order is not None
    if problem is None:
        return replace(some, ca_order=answered(some.ca_order))
    if denies(problem):
        failure = judge_denial(some, str(problem), account_answers=account_answers, evidence=EVIDENCE, now=now)
    elif is_blank(problem):
        failure = judge_blank(some, str(problem), account_answers=account_answers, evidence=EVIDENCE, now=now)
    else:
        failure = JobFailedError(reason_of_problem(problem), str(problem))
    return decide_retry(some, failure, now=now).job


def denied_until_lost(some: Job) -> tuple[Job, int, timedelta]:
    """The job when its order is lost, after how many denials, and how long that took."""
    now, looks = NOON, 0
    while some.ca_order is not None:
        some, looks = look(some, GONE, now=now), looks + 1
        now = some.wait_until if some.ca_order is not None and some.wait_until is not None else now
    return some, looks, now - NOON


def test_an_order_is_lost_after_several_denials_over_minutes() -> None:
    lost, looks, took = denied_until_lost(job(JobState.VALIDATING))
    assert (looks, took) == (5, timedelta(seconds=200))
    assert (lost.state, lost.reason, lost.lost, lost.given_up) == (JobState.KEYED, FailureReason.ORDER_LOST, 1, False)


def test_where_a_finalize_may_have_been_sent_it_takes_longer_and_is_said() -> None:
    order = CaOrder("https://ca.test/order/1", "https://ca.test/order/1/finalize", finalize_sent_at=NOON)
    for some in (job(JobState.FINALIZING), job(JobState.VALIDATING, ca_order=order)):
        lost, looks, took = denied_until_lost(some)
        assert took >= EVIDENCE.over_after_finalize
        assert looks == 7
        assert "a finalize may have been sent" in (lost.problem or "")


def test_the_first_lost_order_is_replaced_and_the_second_is_given_up_and_told() -> None:
    first, _, _ = denied_until_lost(job(JobState.VALIDATING))
    assert first.wait_until is not None
    second, _, _ = denied_until_lost(replace(job(JobState.VALIDATING), lost=first.lost, abandoned=first.abandoned))
    assert (second.given_up, second.lost, second.wait_until) == (True, 2, None)
    assert second.report_at is not None
    assert second.reason is FailureReason.ORDER_LOST
    assert reported_as(second.reason, given_up=True).must_act is MustAct.OPERATOR


def test_a_denial_is_no_evidence_while_the_account_is_not_answered() -> None:
    some = look(job(JobState.FINALIZING), GONE, account_answers=False, now=NOON)
    assert some.reason is FailureReason.CA_UNCLEAR
    assert some.ca_order is not None
    assert some.ca_order.denials == 0


def test_many_denials_within_a_moment_are_no_evidence() -> None:
    some = job(JobState.VALIDATING)
    for _ in range(100):
        some = look(some, GONE, now=NOON)
    assert some.ca_order is not None
    assert some.ca_order.denials == 100


def test_a_good_answer_ends_the_row() -> None:
    some = job(JobState.VALIDATING)
    for number in range(20):
        now = NOON + number * timedelta(minutes=10)
        some = look(some, GONE, now=now) if number % 4 else look(some, None, now=now)
        assert some.ca_order is not None
        assert some.ca_order.denials == number % 4


def test_a_bare_status_is_no_denial_and_is_a_stalled_order_only_after_the_longest_time() -> None:
    some, now = job(JobState.VALIDATING), NOON
    while some.ca_order is not None:
        assert some.ca_order.denials == 0
        some = look(some, AcmeProblemError(type="", status=404, detail=""), now=now)
        now = some.wait_until or now
        assert now < NOON + 2 * EVIDENCE.over_after_finalize
    assert (some.reason, some.problem_at is not None, some.lost) == (FailureReason.ORDER_STALLED, True, 1)
    assert some.problem_at is not None
    assert some.problem_at - NOON >= EVIDENCE.over_after_finalize


def test_a_bare_status_means_nothing_while_the_account_is_not_answered() -> None:
    blank = AcmeProblemError(type="", status=404, detail="")
    some = look(job(JobState.FINALIZING), blank, account_answers=False, now=NOON)
    assert some.reason is FailureReason.CA_UNCLEAR
    assert not is_blank(AcmeProblemError(type="", status=403, detail="<html>"))
    assert not is_blank(GONE)


def test_looks_get_rarer() -> None:
    pauses = [next_look(number, over=EVIDENCE.over) for number in range(1, 40)]
    assert pauses == sorted(pauses)
    assert pauses[:3] == [timedelta(seconds=5), timedelta(seconds=15), timedelta(seconds=45)]
    assert pauses[-1] == timedelta(minutes=10)


ANSWERS = st.one_of(
    st.none(),
    st.sampled_from(NO_EVIDENCE).map(lambda problem: (problem, True)),
    st.booleans().map(lambda account: (GONE, account)),
)
GAPS = st.timedeltas(min_value=timedelta(), max_value=timedelta(hours=2))


@given(
    st.sampled_from([JobState.ORDERED, JobState.VALIDATING, JobState.FINALIZING]),
    st.lists(st.tuples(ANSWERS, GAPS), max_size=60),
)
@example(JobState.FINALIZING, [((GONE, True), timedelta(hours=2))] * 3 + [(None, timedelta())] * 2)
def test_without_the_needed_denials_in_a_row_no_second_order_is_made(
    state: JobState, answers: list[tuple[tuple[AcmeProblemError, bool] | None, timedelta]]
) -> None:
    some, now = job(state), NOON
    row: list[datetime] = []
    left_since: datetime | None = None
    for answer, gap in answers:
        now += gap
        if answer is None:
            row.clear()
            left_since = None
            some = look(some, None, now=now)
        else:
            problem, account_answers = answer
            if problem is GONE and account_answers:
                row.append(now)
                left_since = None
            elif is_blank(problem) and account_answers:
                left_since = left_since or now
            some = look(some, problem, account_answers=account_answers, now=now)
        if some.ca_order is None and some.reason is FailureReason.ORDER_STALLED:
            assert left_since is not None
            assert now - left_since >= EVIDENCE.over_after_finalize
            return
        if some.ca_order is None:
            assert len(row) >= EVIDENCE.denials
            assert row[-1] - row[0] >= EVIDENCE.needed(job(state))
            return
        assert (some.state, some.abandoned, some.given_up) == (state, 0, False)

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from issuer.domain.job import Job, JobState, Step, due_at, next_step
from tests.unit.issuer.samples import NOON, job

INSTANTS = st.timedeltas(min_value=timedelta(days=-2), max_value=timedelta(days=2)).map(lambda delta: NOON + delta)
JOBS = st.builds(
    job,
    state=st.sampled_from(JobState),
    wait_until=st.none() | INSTANTS,
    given_up=st.booleans(),
    report_at=st.none() | INSTANTS,
)


@pytest.mark.parametrize(
    ("state", "step"),
    [
        (JobState.ACCEPTED, Step.MAKE_KEY),
        (JobState.KEYED, Step.OPEN_ORDER),
        (JobState.ORDERED, Step.COLLECT_CHALLENGES),
        (JobState.VALIDATING, Step.PROVE_CONTROL),
        (JobState.FINALIZING, Step.FINALIZE),
        (JobState.ISSUED, Step.STORE_BUNDLE),
        (JobState.STORED, Step.REST),
    ],
)
def test_each_state_goes_on_from_what_it_has_stored(state: JobState, step: Step) -> None:
    assert next_step(job(state), now=NOON) is step


@pytest.mark.parametrize("state", JobState)
def test_a_job_of_a_ca_without_acme_signs_where_another_opens_an_order(state: JobState) -> None:
    usual = next_step(job(state), now=NOON)
    assert next_step(job(state), now=NOON, signing={"another-ca"}) is usual
    expected = Step.SIGN if usual is Step.OPEN_ORDER else usual
    assert next_step(job(state), now=NOON, signing={"a-ca"}) is expected


def test_a_job_waits_until_its_time_has_come() -> None:
    waiting = job(JobState.KEYED, wait_until=NOON + timedelta(seconds=1))
    assert next_step(waiting, now=NOON) is Step.WAIT
    assert next_step(waiting, now=NOON + timedelta(seconds=1)) is Step.OPEN_ORDER


def test_a_report_comes_before_anything_else() -> None:
    waiting = job(JobState.KEYED, wait_until=NOON + timedelta(hours=1), report_at=NOON)
    assert next_step(waiting, now=NOON) is Step.REPORT
    assert next_step(replace(waiting, report_at=None), now=NOON) is Step.WAIT


def test_a_report_that_was_postponed_does_not_hold_up_the_work() -> None:
    assert next_step(job(JobState.KEYED, report_at=NOON + timedelta(seconds=5)), now=NOON) is Step.OPEN_ORDER


def test_a_job_that_gave_up_rests_once_it_was_reported() -> None:
    assert next_step(job(given_up=True, report_at=NOON), now=NOON) is Step.REPORT
    assert next_step(job(given_up=True), now=NOON) is Step.REST


@given(JOBS, INSTANTS)
def test_a_job_is_due_exactly_when_there_is_something_to_do(some: Job, now: datetime) -> None:
    now = max(now, some.accepted_at)
    due = due_at(some)
    idle = next_step(some, now=now) in {Step.WAIT, Step.REST}
    assert idle == (due is None or due > now)

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from issuer.domain.breaker import CLOSED, Breaker
from issuer.domain.bulkhead import ca_needed, pause_after, slots_of, spread
from issuer.domain.job import JobId, JobState
from tests.unit.issuer.samples import NOON, job

MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize("state", JobState)
def test_only_what_goes_on_at_the_ca_takes_its_slots(state: JobState) -> None:
    at_ca = state not in {JobState.ISSUED, JobState.STORED}
    assert ca_needed(job(state)) == ("a-ca" if at_ca else "")
    assert ca_needed(job(state, given_up=True)) == ""
    assert ca_needed(job(JobState.ACCEPTED, ca=None)) == ""


def test_a_ca_that_is_away_is_asked_by_one_job_and_left_after_a_while() -> None:
    away = Breaker(5, NOON, NOON + MINUTE, MINUTE)
    assert slots_of(16, CLOSED, patience=30 * MINUTE, now=NOON) == 16
    assert slots_of(16, away, patience=30 * MINUTE, now=NOON) == 0
    assert slots_of(16, away, patience=30 * MINUTE, now=NOON + MINUTE) == 1
    assert slots_of(16, away, patience=timedelta(), now=NOON) == 1


@given(st.text(), st.timedeltas(min_value=timedelta(), max_value=timedelta(days=30)))
def test_who_waits_for_one_instant_comes_after_it_and_soon(certificate: str, wait: timedelta) -> None:
    one = job(id=JobId(certificate, 1))
    pause = pause_after(NOON + wait, one, now=NOON)
    assert wait <= pause <= wait + max(min(wait / 10, MINUTE), timedelta(seconds=1))
    assert pause == pause_after(NOON + wait, one, now=NOON)


def test_jobs_that_wait_together_come_apart() -> None:
    parts = [spread(f"job {number}", over=MINUTE) for number in range(60)]
    assert len(set(parts)) == 60
    assert sum(part < MINUTE / 2 for part in parts) in range(15, 46)

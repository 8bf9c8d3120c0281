from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from issuer.domain.breaker import CLOSED, Breaker
from issuer.domain.bulkhead import Limit, ca_needed, in_force, limit_of, limit_on, pause_after, slots_of, spread
from issuer.domain.errors import AcmeProblemError, Subproblem
from issuer.domain.job import JobId, JobState
from tests.unit.issuer.samples import NOON, job

MINUTE = timedelta(minutes=1)
NAMES = ("shop.example.org",)


def limited(detail: str, retry_after: timedelta | None = None, *subproblems: Subproblem) -> AcmeProblemError:
    return AcmeProblemError(
        type="rateLimited", status=429, detail=detail, retry_after=retry_after, subproblems=subproblems
    )


def suffix(detail: str) -> str | None:
    return limit_of(limited(detail), NAMES, in_a_row=1, now=NOON).suffix


def test_a_limit_of_the_account_holds_back_every_order_until_its_time() -> None:
    problem = limited(
        "too many new orders (300) from this account in the last 3h0m0s, see letsencrypt.org", 5 * MINUTE
    )
    limit = limit_of(problem, NAMES, in_a_row=1, now=NOON)
    assert limit == Limit(NOON + 5 * MINUTE, problem.detail, None)
    assert limit_on(("other.example.net",), [limit], now=NOON) is limit
    assert limit_on(("other.example.net",), [limit], now=limit.until) is None


def test_a_limit_of_a_domain_holds_back_the_names_under_it() -> None:
    assert suffix('too many certificates (50) already issued for "example.org" in the last 168h0m0s') == "example.org"
    assert suffix("too many failed authorizations (5) for shop.example.org") == "shop.example.org"
    limit = Limit(NOON + MINUTE, "", "example.org")
    assert limit_on(("a.net", "www.example.org"), [limit], now=NOON) is limit
    assert limit_on(("notexample.org",), [limit], now=NOON) is None


def test_a_limit_of_one_set_of_names_holds_back_nobody_else() -> None:
    exact = 'too many certificates (5) already issued for this exact set of identifiers: "shop.example.org"'
    assert suffix(exact) == ""
    limit = Limit(NOON + MINUTE, exact, "")
    assert limit_on(NAMES, [limit], now=NOON) is None
    assert in_force([limit], now=NOON) == ()


def test_the_names_may_be_told_in_the_subproblems() -> None:
    problem = limited("too many", MINUTE, Subproblem("example.org", "rateLimited", "50 certificates"))
    assert limit_of(problem, NAMES, in_a_row=1, now=NOON).suffix == "example.org"


def test_a_limit_without_a_time_is_waited_for_ever_longer() -> None:
    waits = [limit_of(limited("no"), NAMES, in_a_row=n, now=NOON).until - NOON for n in range(1, 9)]
    assert waits == [n * MINUTE for n in (1, 2, 4, 8, 16, 32, 60, 60)]


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

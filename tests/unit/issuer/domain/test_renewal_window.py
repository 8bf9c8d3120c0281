from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from issuer.domain.job import JobId
from issuer.domain.renewal_info import RenewalInfo
from issuer.domain.renewal_window import Watched, after_answer, after_silence, chosen_in
from tests.unit.issuer.samples import NOON

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)

instants = st.timedeltas(timedelta(days=-2000), timedelta(days=2000)).map(lambda after: NOON + after)
spans = st.timedeltas(timedelta(0), timedelta(days=100))
infos = st.builds(
    lambda start, span, url, again: RenewalInfo(start, start + span, url, again),
    instants,
    spans,
    st.none() | st.text(max_size=30).map(lambda text: "https://" + text) | st.text(max_size=30),
    st.none() | st.timedeltas(timedelta(0), timedelta(days=30)),
)
job_ids = st.builds(JobId, st.text("abcdef0123456789", min_size=1, max_size=8), st.integers(1, 99))


def watched(job: JobId | None = None) -> Watched:
    return Watched(job or JobId("a-certificate", 1), "a-ca", "an.id", ask_at=NOON)


def a_week_on(url: str | None = None, retry_after: timedelta | None = None) -> RenewalInfo:
    return RenewalInfo(NOON + 7 * DAY, NOON + 9 * DAY, url, retry_after)


@given(job_ids, infos, instants)
def test_one_instant_of_the_window_is_chosen_or_now_where_it_is_past(
    job: JobId, info: RenewalInfo, now: datetime
) -> None:
    chosen = chosen_in(job, info, now=now)
    assert chosen == now if info.end <= now else info.start <= chosen <= info.end


@given(job_ids, infos, instants, st.lists(spans, max_size=4))
def test_the_instant_stays_while_the_window_does(
    job: JobId, info: RenewalInfo, now: datetime, later: list[timedelta]
) -> None:
    first = at = after_answer(watched(job), info, now=now)
    assert at.window is not None
    for wait in later:
        at = after_answer(at, info, now=now + wait)
        at = after_silence(at, now=now + wait)
    assert (at.window, at.changes) == (first.window, 1)


def test_every_host_chooses_the_same_and_certificates_are_spread_over_the_window() -> None:
    jobs = [JobId(f"c-{number}", 1) for number in range(400)]
    chosen = [chosen_in(job, a_week_on(), now=NOON) for job in jobs]
    assert chosen == [chosen_in(job, a_week_on(), now=NOON + DAY) for job in jobs]
    first_half = sum(instant < NOON + 8 * DAY for instant in chosen)
    assert 150 < first_half < 250


def test_another_window_gets_another_instant_and_is_told() -> None:
    at = after_answer(watched(), a_week_on(), now=NOON)
    moved = after_answer(at, RenewalInfo(NOON + DAY, NOON + 2 * DAY), now=NOON + HOUR)
    assert moved.window is not None
    assert NOON + DAY <= moved.window.chosen <= NOON + 2 * DAY
    assert (moved.changes, moved.window.answered_at) == (2, NOON + HOUR)


def test_another_explanation_is_told_and_the_instant_stays() -> None:
    at = after_answer(watched(), a_week_on(), now=NOON)
    explained = after_answer(at, a_week_on("https://ca.test/why"), now=NOON + HOUR)
    assert at.window is not None
    assert explained.window == replace(at.window, explanation_url="https://ca.test/why", answered_at=NOON + HOUR)
    assert explained.changes == 2


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "https://ca.test/\nwhy", "https://ca.test/a b", "https://" + "a" * 600]
)
def test_what_is_no_address_of_a_page_explains_nothing(url: str) -> None:
    window = after_answer(watched(), a_week_on(url), now=NOON).window
    assert window is not None
    assert window.explanation_url is None


@pytest.mark.parametrize(
    ("retry_after", "waits"),
    [(None, 6 * HOUR), (timedelta(0), MINUTE), (timedelta(seconds=59), MINUTE), (3 * HOUR, 3 * HOUR), (9 * DAY, DAY)],
)
def test_the_ca_says_when_it_is_asked_again(retry_after: timedelta | None, waits: timedelta) -> None:
    assert after_answer(watched(), a_week_on(retry_after=retry_after), now=NOON).ask_at == NOON + waits


def test_silence_changes_nothing_and_is_asked_about_less_and_less_often() -> None:
    at = after_answer(watched(), a_week_on(), now=NOON)
    waits = []
    for _ in range(12):
        silent = after_silence(at, now=NOON)
        assert (silent.window, silent.changes) == (at.window, at.changes)
        waits.append(silent.ask_at - NOON)
        at = silent
    assert waits == sorted(waits)
    assert (waits[0], waits[1], waits[-1]) == (MINUTE, 2 * MINUTE, 6 * HOUR)
    assert after_answer(at, a_week_on(), now=NOON).silences == 0


def test_a_refusal_is_asked_about_again_after_hours_and_never_before_the_ca_says() -> None:
    assert after_silence(watched(), lasting=True, now=NOON).ask_at == NOON + 6 * HOUR
    assert after_silence(watched(), retry_after=2 * HOUR, now=NOON).ask_at == NOON + 2 * HOUR
    assert after_silence(watched(), retry_after=9 * DAY, now=NOON).ask_at == NOON + DAY


def test_a_ca_without_windows_is_asked_once_a_day() -> None:
    at = after_answer(watched(), None, now=NOON)
    assert (at.window, at.changes, at.ask_at) == (None, 0, NOON + DAY)

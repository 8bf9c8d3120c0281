from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certbus.errors import CommandError
from certbus.exit_codes import ExitCode
from certbus.time_spans import from_now, instant, read_span
from tests.unit.certbus.samples import NOON

_LENGTHS = {"d": 86400, "h": 3600, "min": 60, "s": 1}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("90s", 90),
        ("5m", 300),
        ("1h", 3600),
        ("1h30m", 5400),
        ("1h30m5s", 5405),
        ("01m", 60),
        ("20d", 1728000),
        ("1d12h", 129600),
    ],
)
def test_a_span_is_read_as_people_type_it(text: str, seconds: int) -> None:
    assert read_span(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "0", "0m", "5 m", "m", "-5m", "5min", "1.5h", "5m1h", "inf", "٣m", "9" * 400])
def test_what_is_no_span_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(CommandError) as refused:
        read_span(text)
    assert refused.value.exit_code is ExitCode.INVALID
    assert "1h30m" in refused.value.lines()[0]


@given(st.integers(0, 9999), st.integers(0, 59), st.integers(0, 59))
def test_every_span_is_read_back(hours: int, minutes: int, seconds: int) -> None:
    span = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    if span:
        assert read_span(f"{hours}h{minutes}m{seconds}s") == span


@given(st.timedeltas(min_value=timedelta(days=-9000), max_value=timedelta(days=9000)))
def test_a_distance_in_time_is_never_further_than_it_is_and_loses_less_than_half(span: timedelta) -> None:
    words = from_now(NOON + span, NOON).removeprefix("in ").removesuffix(" ago")
    count, unit = words.split(" ")
    shown = timedelta(seconds=int(count) * _LENGTHS[unit])
    assert shown <= abs(span)
    assert abs(span) - shown < max(shown, timedelta(seconds=1))


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (timedelta(days=23, hours=5), "in 23 d"),
        (timedelta(hours=47), "in 47 h"),
        (timedelta(seconds=0), "in 0 s"),
        (timedelta(minutes=-3), "3 min ago"),
        (timedelta(days=-2), "2 d ago"),
    ],
)
def test_a_distance_in_time_reads_as_words(span: timedelta, words: str) -> None:
    assert from_now(NOON + span, NOON) == words


def test_an_instant_is_shown_in_utc() -> None:
    assert instant(NOON) == "2026-03-01T12:00:00Z"

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from issuer.domain.retry_after import parse_http_date, parse_retry_after

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LONGEST = timedelta(days=30)


@pytest.fixture(params=["UTC", "Asia/Tokyo", "America/New_York", "Pacific/Chatham"])
def zone(request: pytest.FixtureRequest) -> Iterator[str]:
    before = os.environ.get("TZ")
    os.environ["TZ"] = request.param
    time.tzset()
    yield request.param
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


@pytest.mark.usefixtures("zone")
def test_a_date_means_the_same_wherever_the_machine_stands() -> None:
    assert parse_retry_after("Sun, 01 Mar 2026 12:02:00 GMT", now=NOW) == timedelta(seconds=120)
    assert parse_retry_after("Sun, 01 Mar 2026 12:02:00", now=NOW) == timedelta(seconds=120)


@pytest.mark.parametrize("seconds", ["120", " 120 ", "0120"])
def test_seconds_are_read(seconds: str) -> None:
    assert parse_retry_after(seconds, now=None) == timedelta(seconds=120)


def test_a_date_that_has_passed_is_no_wait() -> None:
    assert parse_retry_after("Sun, 01 Mar 2026 11:00:00 GMT", now=NOW) == timedelta()


def test_a_date_is_no_use_without_the_time_of_who_sent_it() -> None:
    assert parse_retry_after("Sun, 01 Mar 2026 12:02:00 GMT", now=None) is None


@pytest.mark.parametrize("value", [None, "", "soon", "-5", "1.5", "Sun, 99 Mar 2026 12:02:00 GMT", "١٢"])
def test_what_can_not_be_read_says_nothing(value: str | None) -> None:
    assert parse_retry_after(value, now=NOW) is None


@given(st.text(max_size=60) | st.integers(0, 10**30).map(str))
def test_nothing_that_a_ca_sends_leads_astray(value: str) -> None:
    found = parse_retry_after(value, now=NOW)
    assert found is None or timedelta() <= found <= LONGEST


@given(st.integers(0, 30 * 86400))
def test_a_date_and_the_seconds_to_it_are_one(seconds: int) -> None:
    header = format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)
    assert parse_http_date(header) == NOW + timedelta(seconds=seconds)
    assert parse_retry_after(header, now=NOW) == parse_retry_after(str(seconds), now=NOW)
